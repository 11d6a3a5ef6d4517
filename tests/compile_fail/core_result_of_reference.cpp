// SPDX-License-Identifier: BSL-1.0
// expect: tideover::result: use a pointer or std::reference_wrapper
#include <tideover/result.hpp>

using no_result = tideover::result<int&>::value_type;
