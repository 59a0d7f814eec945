# Headers, libraries, man pages, pkg-config and CMake package files.
install(DIRECTORY include/srun DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set_target_properties(srun_static PROPERTIES EXPORT_NAME srun_static)
install(TARGETS srun LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS srun_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
configure_file(packaging/srun.pc.in srun.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/srun.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES man/srun.7 man/srun_admin.7 man/srun_health.7 man/srun_log.7 man/srun_metrics.7 man/srun_profile.7
    man/srun_trace.7
    DESTINATION ${CMAKE_INSTALL_MANDIR}/man7)
