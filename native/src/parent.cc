#include "parent.h"

#include <signal.h>
#include <sys/prctl.h>

#include "failure.h"

namespace tapwall {

Napi::Value EndWithParent(const Napi::CallbackInfo& info) {
  Check(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl", "PR_SET_PDEATHSIG");
  return info.Env().Undefined();
}

}  // namespace tapwall
