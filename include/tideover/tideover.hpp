// SPDX-License-Identifier: BSL-1.0
#pragma once

/// The core in one include, for a first try; services include the headers that they use.
#include <tideover/batch_processor.hpp>
#include <tideover/breaker_registry.hpp>
#include <tideover/cache_key.hpp>
#include <tideover/cache_snapshot.hpp>
#include <tideover/cache_store.hpp>
#include <tideover/cached.hpp>
#include <tideover/circuit_breaker.hpp>
#include <tideover/config.hpp>
#include <tideover/connection_pool.hpp>
#include <tideover/data_loader.hpp>
#include <tideover/deadline.hpp>
#include <tideover/error.hpp>
#include <tideover/fwd.hpp>
#include <tideover/guarded_cache.hpp>
#include <tideover/instant.hpp>
#include <tideover/keyed_pool.hpp>
#include <tideover/parallel.hpp>
#include <tideover/policy/backoff.hpp>
#include <tideover/policy/executor.hpp>
#include <tideover/result.hpp>
#include <tideover/single_flight.hpp>
#include <tideover/stampede_guard.hpp>
#include <tideover/ttl_cache.hpp>
#include <tideover/version.hpp>
#include <tideover/xfetch.hpp>
