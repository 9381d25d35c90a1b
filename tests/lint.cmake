# The house's own rules (tests/lint/rules.py), one CTest entry a rule. Sanitizers have nothing to say here.
if(NOT LATTICED_SANITIZE)
  foreach(rule includes mirror names license places prose layout)
    add_test(NAME lint/${rule} COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/lint/lint.py ${rule})
  endforeach()
  add_test(NAME lint/rules_test COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/lint/rules_test.py)
endif()
