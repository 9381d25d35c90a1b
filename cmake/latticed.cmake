# The three helpers every folder uses, and the one target that carries compiler flags.

add_library(latticed_flags INTERFACE)
target_include_directories(latticed_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(latticed_flags INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>   # GCC 12 sees overlaps in std::string's own code (GCC bug 105651)
  $<$<BOOL:${LATTICED_WERROR}>:-Werror>
  -fno-math-errno -ffp-contract=off)   # -ffp-contract=off: the same bits whichever SIMD clone runs
if(LATTICED_SANITIZE)
  target_compile_options(latticed_flags INTERFACE -fsanitize=${LATTICED_SANITIZE} -fno-omit-frame-pointer -g)
  target_link_options(latticed_flags INTERFACE -fsanitize=${LATTICED_SANITIZE})
  target_compile_definitions(latticed_flags INTERFACE LATTICED_SANITIZED=1)
endif()

# latticed_add_library(frame SOURCES a.cpp b.cpp LINKS latticed::base): target latticed_frame, alias latticed::frame.
function(latticed_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  if(ARG_SOURCES)
    add_library(latticed_${name} STATIC ${ARG_SOURCES})
    target_link_libraries(latticed_${name} PUBLIC latticed_flags ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
  else()
    add_library(latticed_${name} INTERFACE)
    target_link_libraries(latticed_${name} INTERFACE latticed_flags ${ARG_LINKS})
  endif()
  add_library(latticed::${name} ALIAS latticed_${name})
endfunction()

# latticed_add_program(sim-world SOURCES main.cpp LINKS ...): an executable in build/<preset>/bin.
function(latticed_add_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE latticed_flags ${ARG_LINKS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# latticed_add_test(server/frame/pool_test LINKS latticed::frame): tests/<path>.cpp, GoogleTest, one CTest entry a case.
# ONE_THREAD: mathematics without threads, which has nothing to show to the thread sanitizer and is left out there.
function(latticed_add_test path)
  cmake_parse_arguments(ARG "ONE_THREAD" "TIMEOUT" "LINKS" ${ARGN})
  if(ARG_ONE_THREAD AND LATTICED_SANITIZE STREQUAL "thread")
    return()
  endif()
  string(REPLACE "/" "." name ${path})
  add_executable(${name} ${PROJECT_SOURCE_DIR}/tests/${path}.cpp)
  target_link_libraries(${name} PRIVATE latticed_flags latticed_test_support ${ARG_LINKS} GTest::gtest_main GTest::gmock)
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  gtest_discover_tests(${name} TEST_PREFIX "${path}:" DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${ARG_TIMEOUT})
endfunction()

# latticed_find_opencv(core imgproc): targets opencv::core ... from Debian's small libopencv-*-dev packages.
# find_package(OpenCV) would need libopencv-dev, which brings every module and VTK with it.
function(latticed_find_opencv)
  find_path(OPENCV_INCLUDE_DIR opencv2/core.hpp PATH_SUFFIXES opencv4 REQUIRED)
  foreach(module ${ARGN})
    find_library(OPENCV_${module}_LIBRARY opencv_${module} REQUIRED)
    add_library(opencv::${module} UNKNOWN IMPORTED GLOBAL)
    set_target_properties(opencv::${module} PROPERTIES
      IMPORTED_LOCATION ${OPENCV_${module}_LIBRARY}
      INTERFACE_INCLUDE_DIRECTORIES ${OPENCV_INCLUDE_DIR})
  endforeach()
endfunction()

# latticed_find_zmq(): target zmq::zmq. Not by pkg-config: libzmq.pc brings the flags of krb5 and pgm in an order that
# differs between the first configuration and the second, which would build everything anew.
function(latticed_find_zmq)
  find_path(ZMQ_INCLUDE_DIR zmq.hpp REQUIRED)
  find_library(ZMQ_LIBRARY zmq REQUIRED)
  add_library(zmq::zmq UNKNOWN IMPORTED GLOBAL)
  set_target_properties(zmq::zmq PROPERTIES
    IMPORTED_LOCATION ${ZMQ_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${ZMQ_INCLUDE_DIR})
endfunction()
