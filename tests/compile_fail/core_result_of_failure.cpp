// SPDX-License-Identifier: BSL-1.0
// expect: tideover::result: a failure is not a value
#include <tideover/result.hpp>

using no_result = tideover::result<tideover::failure>::value_type;
