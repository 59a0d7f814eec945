# The plugin that sends telemetry: src/telemetry/plugin.c loads it, nobody links it. Beside it in the
# build tree as where it is installed: the folder srun/ next to libsrun.so.
pkg_check_modules(CURL IMPORTED_TARGET libcurl>=7.87) # CURLOPT_QUICK_EXIT
pkg_check_modules(ZLIB IMPORTED_TARGET zlib)
if(NOT CURL_FOUND OR NOT ZLIB_FOUND)
    message(STATUS "libcurl (7.87 or later) or zlib not found: no OTLP exporters")
    return()
endif()
file(GLOB otlp_sources CONFIGURE_DEPENDS plugins/otlp/*.c)
add_library(srun_otlp MODULE ${otlp_sources} src/base/buf.c)
target_include_directories(srun_otlp PRIVATE include src)
target_compile_definitions(srun_otlp PRIVATE _GNU_SOURCE)
target_link_libraries(srun_otlp PRIVATE srun_options PkgConfig::CURL PkgConfig::ZLIB)
set_target_properties(srun_otlp PROPERTIES PREFIX "" OUTPUT_NAME libsrun-otlp SUFFIX .so.0
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/srun)
target_link_options(srun_otlp PRIVATE LINKER:-soname,libsrun-otlp.so.0)
if(NOT SRUN_SANITIZE)
    target_link_options(srun_otlp PRIVATE LINKER:-z,defs)
endif()
install(TARGETS srun_otlp LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/srun)
