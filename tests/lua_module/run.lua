-- Runs busted, as Debian's /usr/bin/busted does, by whichever interpreter runs this file.
-- usage: lua run.lua [busted's options] FOLDER
require("busted.runner")({standalone = false})
