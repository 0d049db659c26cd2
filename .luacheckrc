std = "lua54"
max_line_length = 120
exclude_files = {"build*"}
files["tests/lua_module/*_spec.lua"] = {std = "+busted"}
files["bindings/lua/module/hakmem.d.lua"] = {ignore = {"212", "241"}} -- it only declares
