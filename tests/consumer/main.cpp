// What a program outside of the tree can reach: installed headers and the library, nothing else.
#if __has_include(<cairn/cairn.h>)
#include <cairn/cairn.h>
#endif
#include <cairn/manager/version.h>
#include <cairn/version.h>

#include <iostream>

int main() {
  std::cout << "cairn " << cairn::version() << '\n';
  return cairn::version() == CAIRN_VERSION_STRING ? 0 : 1;
}
