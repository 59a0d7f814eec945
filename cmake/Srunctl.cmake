# The operator's command: an HTTP client that needs nothing of the library but a few files of base.
pkg_check_modules(CURL IMPORTED_TARGET libcurl>=7.87)
if(NOT CURL_FOUND)
    message(STATUS "srunctl is left out: it needs libcurl (libcurl4-openssl-dev)")
    return()
endif()

file(GLOB srunctl_sources CONFIGURE_DEPENDS srunctl/*.c)
# What `srunctl new` writes: the files of template/, as texts.
set(SRUN_TEMPLATE ${CMAKE_BINARY_DIR}/template_files.c)
file(GLOB_RECURSE template_sources CONFIGURE_DEPENDS srunctl/template/*)
add_custom_command(OUTPUT ${SRUN_TEMPLATE} VERBATIM
    COMMAND ${CMAKE_SOURCE_DIR}/tools/compose-template ${CMAKE_SOURCE_DIR}/srunctl/template ${SRUN_TEMPLATE}
    DEPENDS ${template_sources} tools/compose-template)
add_executable(srunctl ${srunctl_sources} ${SRUN_TEMPLATE}
    src/base/buf.c src/base/clock.c src/base/duration.c src/base/fd.c src/base/text.c)
target_include_directories(srunctl PRIVATE include src srunctl)
target_compile_definitions(srunctl PRIVATE _GNU_SOURCE)
target_link_libraries(srunctl PRIVATE srun_options PkgConfig::CURL PkgConfig::POPT)
install(TARGETS srunctl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES man/srunctl.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES packaging/completion/srunctl.bash RENAME srunctl
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
