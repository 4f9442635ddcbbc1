# The installed tree works: a consumer project by find_package, and a plain compilation by pkg-config.
set(consumer_dir ${CMAKE_CURRENT_LIST_DIR})
set(consumer_out ${PROJECT_BINARY_DIR}/consumer)

# From nothing, or a header that is no longer installed would still be there.
add_test(NAME Consumer.Install
         COMMAND sh -c "rm -rf '${consumer_out}' && '${CMAKE_COMMAND}' --install '${PROJECT_BINARY_DIR}' --prefix '${consumer_out}/prefix'")
add_test(NAME Consumer.FindPackage
         COMMAND ${CMAKE_CTEST_COMMAND} --build-and-test ${consumer_dir} ${consumer_out}/find_package
                 --build-generator ${CMAKE_GENERATOR}
                 --build-options -DCMAKE_PREFIX_PATH=${consumer_out}/prefix -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
                 --test-command consumer)
add_test(NAME Consumer.PkgConfig
         COMMAND ${consumer_dir}/pkg_config.sh ${CMAKE_CXX_COMPILER} ${consumer_dir}/main.cpp ${consumer_out}/prefix
                 ${CMAKE_INSTALL_LIBDIR} ${consumer_out}/pkg_config)
set_tests_properties(Consumer.Install PROPERTIES FIXTURES_SETUP consumer)
set_tests_properties(Consumer.FindPackage Consumer.PkgConfig PROPERTIES FIXTURES_REQUIRED consumer TIMEOUT 300)
