# Whole-daemon scenarios: real processes, real gRPC, real ZeroMQ. The client is Python with Debian's packages, which
# learns the API from the server. Debian's interpreter by full path: another python3 may come first in PATH.
foreach(name a_busy_port_is_named a_standard_mends_the_pixel_size a_client_vanishes_in_mid_stream a_slow_viewer_costs_the_recorder_nothing
             a_small_run_is_played an_independent_client_reads_everything
             control_off_this_machine_needs_tls_and_a_token
             fifty_subscribers_ten_stalled_change_only_their_own_counters history_is_replayed_without_a_gap
             references_are_taken_and_used rehearse_serves_and_ends requests_are_done_once
             rules_and_tracking_change_while_running rules_watch_the_running_sum sigterm_drains_within_five_seconds
             stop_cancel_and_abort_work_in_every_state the_daemon_is_killed the_detector_closes_its_link
             the_detector_stalls_and_recovers the_guard_is_killed the_holder_obeys_its_limits the_recording_goes_on_elsewhere
             the_recording_holds_everything the_world_is_killed)
  add_test(NAME scenario/${name}_test
    COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/scenario/${name}_test.py)
  set_tests_properties(scenario/${name}_test PROPERTIES TIMEOUT 1200 SKIP_RETURN_CODE 77
    ENVIRONMENT "LATTICED_BIN=$<TARGET_FILE_DIR:latticed>")
endforeach()
