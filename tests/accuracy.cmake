# Errors against their Cramér-Rao bounds, by series with known truth: the short form of tests/bench/validate, and what the
# suite must notice itself; and running sums of frames that are scanned. Debian's interpreter by full path: another python3 may come first in PATH.
foreach(name errors_stay_near_the_bound sums_of_scanned_frames the_judge_is_not_fooled)
  add_test(NAME accuracy/${name}_test
    COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/accuracy/${name}_test.py)
  set_tests_properties(accuracy/${name}_test PROPERTIES TIMEOUT 1200
    ENVIRONMENT "LATTICED_BIN=$<TARGET_FILE_DIR:latticed>;LATTICED_SANITIZED=${LATTICED_SANITIZE}")
endforeach()

# What the whole program says of movies whose truth is known: doses too low for one frame, and input that is hard or
# impossible to measure. Debian's interpreter by full path: another python3 may come first in PATH.
set(names a_step_across_planes drift_beyond_the_field lattice_in_a_corner low_doses_are_summed moving_edge no_lattice
          one_spot_only saturated specimen_leaves steady_drift)
if(LATTICED_SANITIZE STREQUAL "thread")
  set(names "")  # `latticed analyze` of a file: numbers, no threads that the other tests have not; a quarter of an hour
elseif(LATTICED_SANITIZE)
  list(REMOVE_ITEM names moving_edge specimen_leaves steady_drift)  # an expected failure would hide a real one
endif()
foreach(name ${names})
  add_test(NAME accuracy/${name}_test
    COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/accuracy/${name}_test.py)
  set_tests_properties(accuracy/${name}_test PROPERTIES TIMEOUT 1200 SKIP_RETURN_CODE 77
    ENVIRONMENT "LATTICED=$<TARGET_FILE:latticed>;SIM_WORLD=$<TARGET_FILE:sim-world>")
endforeach()
