-- The Lua module "hakmem" as a rock: `luarocks make packaging/hakmem-0.1.0-1.rockspec` in the project's folder.
rockspec_format = "3.0"
package = "hakmem"
version = "0.1.0-1"
source = {
    url = "git+file://.", -- for `luarocks make`, which takes the folder that it is called in
}
description = {
    summary = "Arenas with limits, statistics and checked buffers",
    detailed = "The allocator hakmem for Lua: every free is checked against books that lie out of line.",
    license = "MIT",
}
supported_platforms = {"linux"}
dependencies = {"lua >= 5.4, < 5.5"}
build = {
    type = "cmake",
    variables = {
        CMAKE_BUILD_TYPE = "Release",
        CMAKE_INSTALL_PREFIX = "$(PREFIX)",
        PREFIX = "$(PREFIX)",
        LIBDIR = "$(LIBDIR)",
        LUADIR = "$(LUADIR)",
        LUA_INCDIR = "$(LUA_INCDIR)",
    },
}
