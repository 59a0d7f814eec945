# What every target of ours is compiled with. SRUN_SANITIZE: "", "address,undefined" or "thread".
option(SRUN_TESTS "build the tests" ON)
option(SRUN_EXAMPLES "build the examples" ON)
option(SRUN_WERROR "warnings are errors" OFF)
option(SRUN_COVERAGE "instrument for gcov" OFF)
option(SRUN_FUZZ "build the fuzz targets (clang)" OFF)
set(SRUN_SANITIZE "" CACHE STRING "sanitizers, as -fsanitize takes them")

add_library(srun_options INTERFACE)
target_compile_options(srun_options INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wundef -Wvla -Wstrict-prototypes
    -Wmissing-prototypes -fno-omit-frame-pointer
    $<$<BOOL:${SRUN_WERROR}>:-Werror>)
if(SRUN_SANITIZE)
    target_compile_options(srun_options INTERFACE -fsanitize=${SRUN_SANITIZE}
        -fno-sanitize-recover=all)
    target_link_options(srun_options INTERFACE -fsanitize=${SRUN_SANITIZE})
endif()
if(SRUN_COVERAGE)
    target_compile_options(srun_options INTERFACE --coverage -O0 -fprofile-update=atomic)
    target_link_options(srun_options INTERFACE --coverage)
endif()
