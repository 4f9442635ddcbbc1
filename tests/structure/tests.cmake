# What the compiler does not check: folders, layers, lengths, and patterns that g++ 12 compiles wrongly.
add_test(NAME Structure.TreeFollowsTheRules COMMAND ${CMAKE_CURRENT_LIST_DIR}/check.py ${PROJECT_SOURCE_DIR})
add_test(NAME Structure.EveryRuleFindsItsPlantedViolation COMMAND ${CMAKE_CURRENT_LIST_DIR}/check_test.py)
