# Tests of the simulated world and of its driver, and the suite every detector driver is held to.
add_library(latticed_conformance STATIC ${PROJECT_SOURCE_DIR}/tests/conformance/allocations.cpp)
target_link_libraries(latticed_conformance PUBLIC latticed_flags latticed::kit)

latticed_add_test(sim/random/counter_random_test LINKS latticed::sim_specimen)
latticed_add_test(sim/random/poisson_test LINKS latticed::sim_specimen)
latticed_add_test(sim/scenario/read_scenario_test LINKS latticed::sim_specimen)
latticed_add_test(sim/specimen/phase_table_test LINKS latticed::sim_specimen)
latticed_add_test(sim/specimen/cell_test LINKS latticed::sim_specimen)
latticed_add_test(sim/specimen/motion_test LINKS latticed::sim_specimen)
latticed_add_test(sim/specimen/specimen_test LINKS latticed::sim_specimen)
latticed_add_test(sim/render/renderer_test LINKS latticed::sim_render)
latticed_add_test(sim/bound/symmetric_inverse_test LINKS latticed::sim_bound)
latticed_add_test(sim/bound/lattice_information_test LINKS latticed::sim_bound)
latticed_add_test(sim/bound/bounds_test LINKS latticed::sim_bound)
latticed_add_test(sim/truth/truth_writer_test LINKS latticed::sim_truth nlohmann_json::nlohmann_json)
latticed_add_test(sim/link/ring_test LINKS latticed::sim_link)
latticed_add_test(sim/world/command_log_test LINKS latticed::sim_world)
latticed_add_test(sim/world/holder_device_test LINKS latticed::sim_world)
latticed_add_test(sim/world/world_test LINKS latticed::sim_world)
latticed_add_test(sim/world/same_bits_test LINKS latticed::driver_simulator)
latticed_add_test(sim/world/programs_test LINKS nlohmann_json::nlohmann_json)
latticed_add_test(sim/export/export_test LINKS latticed::sim_export)
latticed_add_test(sim/score/score_test LINKS latticed::sim_score)
latticed_add_test(sim/score/series_test LINKS latticed::sim_score)
latticed_add_test(sim/score/report_test LINKS latticed::sim_score)
latticed_add_test(drivers/simulator/sim_holder_test
  LINKS latticed_conformance latticed::driver_simulator nlohmann_json::nlohmann_json)
latticed_add_test(drivers/simulator/sim_detector_test
  LINKS latticed_conformance latticed::driver_simulator nlohmann_json::nlohmann_json)

foreach(program sim.scenario.read_scenario_test sim.specimen.cell_test)
  target_compile_definitions(${program}
    PRIVATE LATTICED_SCENARIOS="${PROJECT_SOURCE_DIR}/sim/scenarios")
endforeach()
foreach(program sim.world.same_bits_test sim.world.programs_test drivers.simulator.sim_detector_test
        drivers.simulator.sim_holder_test)
  target_compile_definitions(${program} PRIVATE
    LATTICED_SIM_WORLD="$<TARGET_FILE:sim-world>" LATTICED_SIM_SCORE="$<TARGET_FILE:sim-score>")
  add_dependencies(${program} sim-world sim-score)
endforeach()
