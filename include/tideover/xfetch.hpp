// SPDX-License-Identifier: BSL-1.0
#pragma once

/// The decision alone whether to refresh a value ahead of its expiry, for caches of your own: no store, no
/// lock, no state. `stampede_guard` has it built in. Other policies of the same kind:
/// `refresh_after<fraction>`, `no_early_refresh`.
#include <tideover/policy/early_refresh.hpp>
#include <tideover/policy/early_refresh/xfetch.hpp>
