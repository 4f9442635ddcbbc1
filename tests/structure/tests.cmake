# What the compiler does not check: folders, layers, lengths, and patterns that g++ 12 compiles wrongly.
add_test(NAME Structure.TreeFollowsTheRules COMMAND ${CMAKE_CURRENT_LIST_DIR}/check.py ${PROJECT_SOURCE_DIR})
add_test(NAME Structure.EveryRuleFindsItsPlantedViolation COMMAND ${CMAKE_CURRENT_LIST_DIR}/check_test.py)

if(CAIRN_CHECK_HEADERS)
  # Every public name has words; tools/docs says what that means.
  add_test(NAME Structure.EveryPublicNameHasWords COMMAND ${PROJECT_SOURCE_DIR}/tools/docs --out ${CMAKE_BINARY_DIR}/docs)
  add_test(NAME Structure.NamesWithoutWordsAreFound COMMAND ${CMAKE_CURRENT_LIST_DIR}/docs_test.py)
  set_tests_properties(Structure.EveryPublicNameHasWords Structure.NamesWithoutWordsAreFound PROPERTIES
    SKIP_REGULAR_EXPRESSION "there is no doxygen here" TIMEOUT 300)
endif()
