# Headers, libraries, man pages, and the packages of pkg-config and CMake. What is installed can be
# moved: the CMake package and the library look beside themselves, srun.pc has one line with a path.
install(DIRECTORY include/srun DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS srun EXPORT srun LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS srun_static EXPORT srun_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
set_target_properties(srun_static PROPERTIES EXPORT_NAME static)
file(GLOB pages CONFIGURE_DEPENDS man/*.7) # section 3: Man.cmake; a command has its page with it
install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man7)

set(SRUN_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/srun)
include(CMakePackageConfigHelpers)
configure_package_config_file(packaging/srunConfig.cmake.in srunConfig.cmake
    INSTALL_DESTINATION ${SRUN_CMAKE_DIR} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(srunConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/srunConfig.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/srunConfigVersion.cmake DESTINATION ${SRUN_CMAKE_DIR})
install(EXPORT srun NAMESPACE srun:: DESTINATION ${SRUN_CMAKE_DIR} FILE srunShared.cmake)
install(EXPORT srun_static NAMESPACE srun:: DESTINATION ${SRUN_CMAKE_DIR} FILE srunStatic.cmake)

# srun.pc is made when it is installed, for `cmake --install --prefix` has the last word. GNUInstallDirs
# takes absolute folders too.
foreach(folder INCLUDEDIR LIBDIR)
    set(SRUN_PC_${folder} "\${prefix}/${CMAKE_INSTALL_${folder}}")
    cmake_path(IS_ABSOLUTE CMAKE_INSTALL_${folder} absolute)
    if(absolute)
        set(SRUN_PC_${folder} ${CMAKE_INSTALL_${folder}})
    endif()
endforeach()
set(SRUN_PC_PREFIX @CMAKE_INSTALL_PREFIX@)
configure_file(packaging/srun.pc.in srun.pc.in @ONLY)
install(CODE "
    cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_PREFIX OUTPUT_VARIABLE CMAKE_INSTALL_PREFIX)
    cmake_path(SET srun_pc \"${CMAKE_INSTALL_LIBDIR}/pkgconfig/srun.pc\")
    cmake_path(ABSOLUTE_PATH srun_pc BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\")
    message(STATUS \"Installing: \$ENV{DESTDIR}\${srun_pc}\")
    configure_file(\"${CMAKE_CURRENT_BINARY_DIR}/srun.pc.in\" \"\$ENV{DESTDIR}\${srun_pc}\" @ONLY)
    list(APPEND CMAKE_INSTALL_MANIFEST_FILES \${srun_pc})")
