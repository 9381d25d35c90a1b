# Errors against their Cramér-Rao bounds, by series with known truth: the short form of tests/bench/validate, and what the
# suite must notice itself. Debian's interpreter by full path: another python3 may come first in PATH.
foreach(name errors_stay_near_the_bound the_judge_is_not_fooled)
  add_test(NAME accuracy/${name}_test
    COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/accuracy/${name}_test.py)
  set_tests_properties(accuracy/${name}_test PROPERTIES TIMEOUT 1200
    ENVIRONMENT "LATTICED_BIN=$<TARGET_FILE_DIR:latticed>;LATTICED_SANITIZED=${LATTICED_SANITIZE}")
endforeach()
