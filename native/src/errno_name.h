#ifndef TAPWALL_ERRNO_NAME_H_
#define TAPWALL_ERRNO_NAME_H_

#include <string>

namespace tapwall {

/** `ENOENT` for 2; `ERRNO_4711` for a number that has no name. */
std::string ErrnoName(int number);

}  // namespace tapwall

#endif  // TAPWALL_ERRNO_NAME_H_
