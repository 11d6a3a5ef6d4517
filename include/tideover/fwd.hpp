// SPDX-License-Identifier: BSL-1.0
#pragma once

/// Declarations of what the library's headers define, for headers that only name them.
namespace tideover::inline v0 {

struct instant;
struct deadline;
struct failure;
class error;
class outcome;
template <class T>
class result;
template <class T>
struct cached;

class steady;
class coarse;
class manual_clock;

struct ttl_cache_options;
struct put_options;
struct cache_stats;
struct entry_details;
struct cache_explanation;
struct snapshot_options;
struct snapshot_report;
class tag_list;
template <class Key, class Value, class... Policies>
class ttl_cache;

struct breaker_options;
struct breaker_event;
struct breaker_stats;
template <class... Policies>
class circuit_breaker;
template <class... Policies>
class shared_breaker;
struct breaker_registry_options;
template <class Key, class... Policies>
class breaker_registry;

struct pool_options;
struct pool_event;
struct pool_stats;
template <class T>
class lease;
template <class Factory, class... Policies>
class connection_pool;

struct keyed_pool_options;
struct keyed_pool_stats;
template <class Key, class Factory, class... Policies>
class keyed_pool;

struct batch_options;
struct batch_event;
struct batch_stats;
struct batch_totals;
class ticket;
template <class Item, class... Policies>
class batch_processor;

class xfetch;
struct xfetch_options;

struct single_flight_options;
struct single_flight_stats;
template <class Key, class Value, class... Policies>
class single_flight;

struct stampede_guard_options;
struct stampede_stats;
template <class T>
struct served;
template <class Store, class... Policies>
class stampede_guard;

struct parallel_options;
struct parallel_report;
template <class Executor, class Clock>
class with_clock;
template <class... Stages>
class pipeline;

struct data_loader_options;
struct data_loader_stats;
template <class Key, class Value, class... Policies>
class data_loader;

struct guarded_cache_options;
template <class Key, class T, class... Policies>
class guarded_cache;

struct cache_key_options;
template <class... Policies>
class basic_cache_key;
using cache_key = basic_cache_key<>;

}  // namespace tideover::inline v0
