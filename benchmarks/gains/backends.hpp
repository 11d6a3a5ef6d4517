// SPDX-License-Identifier: BSL-1.0
#pragma once

/// The clients of those real back-ends of which this machine has the libraries.
#if TIDEOVER_GAINS_SQLITE
#include <sqlite3.h>
#endif
#if TIDEOVER_GAINS_POSTGRES
#include <libpq-fe.h>
#endif
#if TIDEOVER_GAINS_REDIS
#include <hiredis.h>
#endif
