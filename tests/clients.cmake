# latticectl: its parts, and the program itself against a real gRPC server that answers by script.
add_library(latticectl_test_support STATIC
  clients/latticectl/program.cpp clients/latticectl/scripted_guard.cpp
  clients/latticectl/scripted_server.cpp)
target_link_libraries(latticectl_test_support
  PUBLIC latticed_flags latticed_test_support latticed::latticectl_parts GTest::gtest
         nlohmann_json::nlohmann_json)
target_compile_definitions(latticectl_test_support PRIVATE LATTICECTL="$<TARGET_FILE:latticectl>")
foreach(name call_problem client commands holder_steps live_view numbers render
             rules_file run_progress session_words snapshot text_table)
  latticed_add_test(clients/latticectl/${name}_test LINKS latticectl_test_support)
endforeach()
target_link_libraries(clients.latticectl.commands_test PRIVATE CLI11::CLI11)
foreach(name program rehearse)
  latticed_add_test(clients/latticectl/${name}_test LINKS latticectl_test_support)
  add_dependencies(clients.latticectl.${name}_test latticectl)
endforeach()
