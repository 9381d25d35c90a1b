# Figures of a run and of a rehearsal, against sequences that are known exactly.
foreach(name aligned_mean figures_sink image_shift run_figures run_history spectrum trace)
  latticed_add_test(server/publish/${name}_test LINKS latticed::publish)
endforeach()
target_link_libraries(server.publish.figures_sink_test PRIVATE opencv::core opencv::imgcodecs)
latticed_add_test(server/app/csv_table_test LINKS latticed::rehearsal)
latticed_add_test(server/app/rehearsal_page_test LINKS latticed::rehearsal latticed::sim_score)
latticed_add_test(sim/score/statistics_test LINKS latticed::sim_score)
add_test(NAME server/app/figures_test
  COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/server/app/figures_test.py)
set_tests_properties(server/app/figures_test PROPERTIES TIMEOUT 120
  ENVIRONMENT "LATTICED=$<TARGET_FILE:latticed>;SIM_WORLD=$<TARGET_FILE:sim-world>")
