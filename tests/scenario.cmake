# Whole-daemon scenarios: real processes, real gRPC, real ZeroMQ. The client is Python with Debian's packages, which
# learns the API from the server. Debian's interpreter by full path: another python3 may come first in PATH.
foreach(name a_small_run_is_played an_independent_client_reads_everything)
  add_test(NAME scenario/${name}_test
    COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/scenario/${name}_test.py)
  set_tests_properties(scenario/${name}_test PROPERTIES TIMEOUT 1200
    ENVIRONMENT "LATTICED_BIN=$<TARGET_FILE_DIR:latticed>")
endforeach()
