# Tests of the simulated world and of its driver, and the suite every detector driver is held to.
add_library(latticed_conformance STATIC ${PROJECT_SOURCE_DIR}/tests/conformance/allocations.cpp)
target_link_libraries(latticed_conformance PUBLIC latticed_flags latticed::kit)

latticed_add_test(drivers/simulator/sim_detector_test LINKS latticed_conformance latticed::driver_simulator nlohmann_json::nlohmann_json)
foreach(program drivers.simulator.sim_detector_test)
  target_compile_definitions(${program} PRIVATE LATTICED_SIM_WORLD="$<TARGET_FILE:sim-world>")
  add_dependencies(${program} sim-world)
endforeach()
