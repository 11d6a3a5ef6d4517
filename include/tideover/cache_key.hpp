// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/cache_key_options.hpp>
#include <tideover/detail/key/text.hpp>
#include <tideover/detail/key/value.hpp>
#include <tideover/error.hpp>
#include <tideover/policy/digest.hpp>
#include <tideover/policy/normalization.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/result.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace tideover::inline v0 {

/// The axes of `basic_cache_key`.
using key_axes = axes<axis::digest, axis::normalization>;

/// What can stand in a key, and as what:
///   integers, bool       decimal; true, false                 nullptr, std::nullopt   ~
///   float, double        the fewest digits that read back     std::optional<T>        ~ or the value
///   char, text           the bytes, escaped                   a range with an order   (a,b,)
///   std::pair, tuple     (a,b,)
/// and each T for which argument-dependent lookup finds `to_key(T const&)`, which returns any of these; and,
/// behind <tideover/fmt.hpp>, what fmt can format. char8_t strings are text, wider ones are not values; nor
/// are hash tables, which have no order, pointers but `char const*`, and long double, whose digits differ
/// between machines. `char const*` and arrays of char end at their first NUL: `"a\0b"sv` for text that holds
/// one. 1, "1" and 1.0 are one text: the type of a name is the program's affair.
template <class T>
concept key_value = detail::is_key_value<std::remove_cvref_t<T>>();

namespace detail {
struct key_maker;

template <class N>
concept whole_number =
    std::integral<N> && !std::same_as<N, bool> && !std::same_as<N, char> && !is_wide_letter<N>;
}  // namespace detail

/// A key for a cache or store: no two inputs make one key, one input makes one key, whatever the order of its
/// parameters, the compiler and the locale.
///
///     cache_key("user").segment(123).segment("profile").version(2).str()   // user:123:profile:v2
///     cache_key("q").param("b", 2).param("a", 1).str()                      // q:a=1:b=2:v1
///     cache_key("shop").tag("acme").generation(17).segment("user")          // {acme}:shop@17:user:v1
///
/// Grammar  `[{tag}:]ns[@generation]`, then each `:segment` in the order given, each `:name=value` in the
///          order of the names' bytes, and `:vN`. In data every byte but A-Z a-z 0-9 _ . - is %XX.
/// Length   Above `max_length` (200): `[{tag}:]ns[@generation]:~h<digest of the whole, 32 hex>:vN`. The key
///          still tells whole texts apart: two are equal only if these are. At most 250 bytes, no space, no
///          control: good for memcached. Without a digest in the program (<tideover/xxhash.hpp> brings one)
///          a longer text is an error.
/// Reading  A key is complete at any time; it can be read, and then be added to. `ttl_cache` takes it as it
///          is, for keys of text and for keys of this type; the latter tell two texts of one digest apart.
/// Policies digest         registered_digest (default), xxh3_128, your own
///          normalization  bytes_as_they_are (default), your own
/// Threads  Like a plain value. Reading one key from many threads is fine.
/// Throws   `error(errc::invalid_argument)` that names field, value and bounds: a namespace outside of
///          [A-Za-z0-9_.-]{1,64}, a name given twice, a number that is not finite. What `to_key`, digests and
///          allocation throw passes through. A call that throws has changed nothing. `try_` verbs return the
///          failure instead.
/// Cost     Up to 120 bytes stand in the object: no allocation. Adding is O(size); so is the hash, once.
///
/// A key shows everything in it, but for `secret`. Logs get `log_text()`. What was moved from may be assigned
/// to or destroyed.
template <class... Policies>
class basic_cache_key {
  static_assert(key_axes::accept<Policies...>);

 public:
  using options = cache_key_options;
  using digest_type = policy_for<axis::digest, registered_digest, Policies...>;
  using normalization_type = policy_for<axis::normalization, bytes_as_they_are, Policies...>;

  static_assert(digest_policy<digest_type>,
                "tideover::basic_cache_key: see tideover::digest_policy in <tideover/policy/digest.hpp>");
  static_assert(normalization_policy<normalization_type>,
                "tideover::basic_cache_key: see tideover::normalization_policy in "
                "<tideover/policy/normalization.hpp>");

  /// A namespace: what kind of thing the key names, 1 to 64 bytes of A-Z a-z 0-9 _ . -. Then the options, and
  /// objects of the policies that have state.
  template <class... P>
    requires(detail::is_one_of<P, digest_type, normalization_type>&&...)
  explicit basic_cache_key(std::string_view ns, options o = {}, P&&... policies)
      : basic_cache_key(detail::take_policy<digest_type>(std::forward<P>(policies)...),
                        detail::take_policy<normalization_type>(std::forward<P>(policies)...)) {
    raise_if(begin(ns, o));
  }
  /// The same, for who cannot have exceptions.
  static result<basic_cache_key> try_make(std::string_view ns, options o = {}) {
    basic_cache_key made(detail::take_policy<digest_type>(), detail::take_policy<normalization_type>());
    if (detail::key_verdict const bad = made.begin(ns, o)) return failed(*bad);
    return made;
  }

  basic_cache_key(basic_cache_key const& other)
      : text_(other.text_),
        hash_(other.known_hash()),
        digest_(other.digest_),
        normalization_(other.normalization_) {}
  basic_cache_key(basic_cache_key&& other) noexcept
      : text_(std::move(other.text_)),
        hash_(other.known_hash()),
        digest_(std::move(other.digest_)),
        normalization_(std::move(other.normalization_)) {}
  basic_cache_key& operator=(basic_cache_key const& other) {
    if (this != &other) *this = basic_cache_key(other);
    return *this;
  }
  basic_cache_key& operator=(basic_cache_key&& other) noexcept {
    text_ = std::move(other.text_);
    hash_.store(other.known_hash(), std::memory_order_relaxed);
    digest_ = std::move(other.digest_);
    normalization_ = std::move(other.normalization_);
    return *this;
  }
  ~basic_cache_key() = default;

  // ---- Adding ---------------------------------------------------------------------------------------------
  // Each verb on a temporary returns a key by value, so that `auto const& k = cache_key("a").segment(1);` is
  // sound.

#if TIDEOVER_EXCEPTIONS
  /// One more positional part, after those there are.
  template <key_value T>
  basic_cache_key& segment(T const& value) & {
    raise_if(add_segment(value));
    return *this;
  }
  template <key_value T>
  basic_cache_key segment(T const& value) && {
    return std::move(segment(value));
  }
  template <key_value T>
  basic_cache_key& segment(std::initializer_list<T> list) & {
    raise_if(add_segment(list));
    return *this;
  }
  template <key_value T>
  basic_cache_key segment(std::initializer_list<T> list) && {
    return std::move(segment(list));
  }

  /// A named part. Names are texts of any bytes, each given once; they stand sorted, so the order of the
  /// calls does not matter.
  template <key_value T>
  basic_cache_key& param(std::string_view name, T const& value) & {
    raise_if(add_param(name, value));
    return *this;
  }
  template <key_value T>
  basic_cache_key param(std::string_view name, T const& value) && {
    return std::move(param(name, value));
  }
  template <key_value T>
  basic_cache_key& param(std::string_view name, std::initializer_list<T> list) & {
    raise_if(add_param(name, list));
    return *this;
  }
  template <key_value T>
  basic_cache_key param(std::string_view name, std::initializer_list<T> list) && {
    return std::move(param(name, list));
  }

  /// A named part of which only a digest under a key of yours is written: `name=~p<32 hex digits>`. What is
  /// digested is the value as it would stand in the key. For what nobody may read in a key: e-mail addresses,
  /// tokens.
  template <key_value T, keyed_digest D>
  basic_cache_key& secret(std::string_view name, T const& value, D const& digest) & {
    raise_if(add_secret(name, value, digest));
    return *this;
  }
  template <key_value T, keyed_digest D>
  basic_cache_key secret(std::string_view name, T const& value, D const& digest) && {
    return std::move(secret(name, value, digest));
  }

  /// The hash tag of Redis Cluster: keys of one tag live on one node. Once, not empty, at most 100 bytes as
  /// it stands in the key.
  template <key_value T>
  basic_cache_key& tag(T const& value) & {
    raise_if(add_tag(value));
    return *this;
  }
  template <key_value T>
  basic_cache_key tag(T const& value) && {
    return std::move(tag(value));
  }

  /// The generation of the namespace, once, not negative: counting it up makes every older key unreachable.
  template <detail::whole_number N>
  basic_cache_key& generation(N n) & {
    raise_if(add_generation(n));
    return *this;
  }
  template <detail::whole_number N>
  basic_cache_key generation(N n) && {
    return std::move(generation(n));
  }

  /// The version of what is stored under the key, not negative; 1 unless told. The last call counts.
  template <detail::whole_number N>
  basic_cache_key& version(N n) & {
    raise_if(set_version(n));
    return *this;
  }
  template <detail::whole_number N>
  basic_cache_key version(N n) && {
    return std::move(version(n));
  }
#endif

  template <key_value T>
  result<void> try_segment(T const& value) {
    return outcome_of(add_segment(value));
  }
  template <key_value T>
  result<void> try_param(std::string_view name, T const& value) {
    return outcome_of(add_param(name, value));
  }
  template <key_value T, keyed_digest D>
  result<void> try_secret(std::string_view name, T const& value, D const& digest) {
    return outcome_of(add_secret(name, value, digest));
  }
  template <key_value T>
  result<void> try_tag(T const& value) {
    return outcome_of(add_tag(value));
  }
  template <detail::whole_number N>
  result<void> try_generation(N n) {
    return outcome_of(add_generation(n));
  }
  template <detail::whole_number N>
  result<void> try_version(N n) {
    return outcome_of(set_version(n));
  }

  // ---- Reading --------------------------------------------------------------------------------------------

  /// The key; valid until it is changed, moved or destroyed.
  std::string_view view() const noexcept TIDEOVER_LIFETIMEBOUND { return text_.view(); }
  std::string str() const { return std::string(view()); }
  explicit operator std::string() const { return str(); }
  std::size_t size() const noexcept { return view().size(); }

  /// Whether a digest stands for the text.
  bool digested() const noexcept { return text_.check != 0; }
  /// 64 bits of the whole text of a digested key, the same on every machine; 0 if the key is the whole text.
  /// A store that keeps `view()` alone keeps this beside the value, and takes a difference for a miss.
  std::uint64_t check() const noexcept { return text_.check; }

  /// Computed by the first call. Differs from process to process, so that nobody outside can choose keys that
  /// collide.
  std::uint64_t hash() const noexcept {
    // Relaxed: the hash depends on the text alone; two threads that find none store the same.
    std::uint64_t hash = hash_.load(std::memory_order_relaxed);
    if (hash == 0) {
      std::uint64_t const seed = detail::key_seed();
      hash = hash_detail::bytes(view(), seed, hash_detail::fold(seed, hash_detail::odd_1)) | 1;
      hash_.store(hash, std::memory_order_relaxed);
    }
    return hash;
  }

  /// The namespace, without tag and generation.
  std::string_view name_space() const noexcept TIDEOVER_LIFETIMEBOUND { return text_.namespace_text(); }

  /// What a log may show: the namespace and a hash that means nothing outside of this process,
  /// `user#5f3a...`.
  std::string log_text() const {
    std::string text(name_space());
    text += '#';
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[hash() >> shift & 15];
    return text;
  }

  /// The key as a store keeps it: of a digested one without the long text, so that nothing can be added any
  /// more. `ttl_cache` keeps keys in this form by itself.
  basic_cache_key stored() const& {
    if (!text_.replaced() || !text_.kept_whole()) return *this;
    basic_cache_key kept(digest_, normalization_);
    kept.text_.bytes.append(view());
    kept.text_.check = text_.check;
    kept.text_.head = text_.head;
    kept.hash_.store(known_hash(), std::memory_order_relaxed);
    return kept;
  }
  basic_cache_key stored() && {
    if (!text_.replaced() || !text_.kept_whole()) return std::move(*this);
    return std::as_const(*this).stored();
  }

  /// Whole texts are compared, by way of `check()` where a digest stands for them.
  friend bool operator==(basic_cache_key const& a, basic_cache_key const& b) noexcept {
    return a.text_.check == b.text_.check && a.view() == b.view();
  }
  friend std::strong_ordering operator<=>(basic_cache_key const& a, basic_cache_key const& b) noexcept {
    if (auto const order = a.view() <=> b.view(); order != 0) return order;
    return a.text_.check <=> b.text_.check;
  }

 private:
  friend detail::key_maker;

  basic_cache_key(digest_type digest, normalization_type normalization)
      : digest_(std::move(digest)), normalization_(std::move(normalization)) {}

  detail::key_verdict set_options(options const& o);
  detail::key_verdict begin(std::string_view ns, options const& o);
  template <class T>
  detail::key_verdict add_segment(T const& value);
  template <class T>
  detail::key_verdict add_param(std::string_view name, T const& value);
  template <class T, class D>
  detail::key_verdict add_secret(std::string_view name, T const& value, D const& digest);
  template <class T>
  detail::key_verdict add_tag(T const& value);
  template <class N>
  detail::key_verdict add_generation(N n);
  template <class N>
  detail::key_verdict set_version(N n);
  template <class Write>
  detail::key_verdict add_named(std::string_view name, Write write);

  /// Makes the change `edit` with `piece`, or none.
  detail::key_verdict apply(detail::key_edit const& edit, std::string_view piece);
  TIDEOVER_COLD detail::key_verdict rebuild(detail::key_edit const& edit, std::string_view piece);
  /// Writes behind the full text what stands for it, if anything does.
  TIDEOVER_COLD detail::key_verdict stand_in(detail::key_text& text) const;

  /// Whether `value` is a text that stands in this key, so that the key must not change while it is read.
  template <class T>
  bool aliases([[maybe_unused]] T const& value) const noexcept {
    if constexpr (detail::is_plain_text<T>) {
      return text_.holds(detail::text_of(value).data());
    } else {
      return false;
    }
  }
  std::uint64_t known_hash() const noexcept { return hash_.load(std::memory_order_relaxed); }
  static void raise_if(detail::key_verdict const& bad) {
    if (bad) raise(*bad);
  }
  [[noreturn]] TIDEOVER_COLD static void raise(detail::key_fault const& bad) {
    detail::raise_out_of_bounds(bad.field, bad.value, bad.bounds);
  }
  static result<void> outcome_of(detail::key_verdict const& bad) {
    if (bad) return failed(*bad);
    return {};
  }
  TIDEOVER_COLD static failure failed(detail::key_fault const& bad);
  static std::string param_field(std::string_view name) {
    return "cache_key.param(\"" + detail::shown(name) + "\")";
  }

  detail::key_text text_;
  mutable std::atomic<std::uint64_t> hash_{0};  // 0: not computed yet
  [[no_unique_address]] digest_type digest_;
  [[no_unique_address]] normalization_type normalization_;
};

/// The key to use unless a policy is to be another one.
using cache_key = basic_cache_key<>;

// ---- Schemas ----------------------------------------------------------------------------------------------

namespace detail {

/// A text as a template argument.
template <std::size_t N>
struct key_literal {
  // NOLINTNEXTLINE(google-explicit-constructor): a literal is one
  consteval key_literal(char const (&literal)[N]) {
    for (std::size_t i = 0; i + 1 < N; ++i) text[i] = literal[i];
  }
  constexpr std::string_view view() const noexcept { return {text, N - 1}; }
  char text[N]{};
};

/// The constant parts of a schema's keys, made by the compiler: "q:a=", ":b=".
template <key_literal Namespace, key_literal... Names>
struct key_plan {
  static constexpr std::size_t count = sizeof...(Names);
  static constexpr std::array<std::string_view, count> names{Names.view()...};

  static constexpr bool less(std::string_view a, std::string_view b) noexcept {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
      return static_cast<unsigned char>(x) < static_cast<unsigned char>(y);
    });
  }
  /// The numbers of the names, sorted by name.
  static constexpr std::array<std::size_t, count> order = [] {
    std::array<std::size_t, count> sorted{};
    for (std::size_t i = 0; i < count; ++i) {
      std::size_t at = i;
      for (; at > 0 && less(names[i], names[sorted[at - 1]]); --at) sorted[at] = sorted[at - 1];
      sorted[at] = i;
    }
    return sorted;
  }();
  static constexpr bool distinct = [] {
    for (std::size_t i = 1; i < count; ++i) {
      if (names[order[i - 1]] == names[order[i]]) return false;
    }
    return true;
  }();

  /// The namespace and the pieces behind each other, and where each ends.
  static constexpr std::size_t room =
      Namespace.view().size() + 2 * count + (0 + ... + (3 * Names.view().size()));
  struct pieces_type {
    std::array<char, room + 1> text{};
    std::array<std::size_t, count + 1> end{};
  };
  static constexpr pieces_type pieces = [] {
    pieces_type made{};
    char* out = made.text.data();
    for (char const c : Namespace.view()) *out++ = c;
    made.end[0] = Namespace.view().size();
    for (std::size_t i = 0; i < count; ++i) {
      *out++ = ':';
      for (char const c : names[order[i]]) out = escape_byte(c, out);
      *out++ = '=';
      made.end[i + 1] = static_cast<std::size_t>(out - made.text.data());
    }
    return made;
  }();
  static constexpr std::string_view start() noexcept { return Namespace.view(); }
  /// What stands before the i-th value.
  static constexpr std::string_view before(std::size_t i) noexcept {
    return {pieces.text.data() + pieces.end[i], pieces.end[i + 1] - pieces.end[i]};
  }
};

template <std::size_t N>
char* copy_constant(char const* from, char* to) noexcept {
  std::memcpy(to, from, N);
  return to + N;
}

struct key_maker {
  template <class Key>
  static Key empty() {
    return Key(take_policy<typename Key::digest_type>(), take_policy<typename Key::normalization_type>());
  }
  template <class Plan, class Key, std::size_t... I, class... T>
  static key_verdict fill(Key& key, std::uint64_t version, std::size_t max_length, std::index_sequence<I...>,
                          T const&... values) {
    if (key_verdict bad = key.set_options({.max_length = max_length})) return bad;
    key_text& text = key.text_;
    [[maybe_unused]] std::tuple<T const&...> const all(values...);
    if (Plan::room + (22 + ... + plain_room(values)) <= key_buffer::inline_capacity) {
      char* const first = text.bytes.data();
      char* out = copy_constant<Plan::start().size()>(Plan::start().data(), first);
      using normalization = typename Key::normalization_type;
      bool const plain =
          ((out = copy_constant<Plan::before(I).size()>(Plan::before(I).data(), out),
            out = write_plain<normalization>(std::get<Plan::order[I]>(all), out), out != nullptr) &&
           ...);
      if (plain) {
        auto const body = static_cast<std::size_t>(out - first);
        out = copy_constant<2>(":v", out);
        text.bytes.resize(static_cast<std::size_t>(std::to_chars(out, out + 20, version).ptr - first));
        text.set_parts(Plan::start().size(), Plan::start().size(), body, text.bytes.size());
        return text.full > text.max_length ? key.stand_in(text) : key_verdict();
      }
    }
    key_writer out(text.bytes);
    out.put(Plan::start());
    ((out.put(Plan::before(I)), write_value(out, key.normalization_, std::get<Plan::order[I]>(all)),
      name_fault(out, Plan::names[Plan::order[I]])),
     ...);
    if (out.fault) return std::move(out.fault);
    std::size_t const body = out.size();
    out.put(std::string_view(":v"));
    out.number(version);
    text.bytes.take_in(out.written());
    text.set_parts(Plan::start().size(), Plan::start().size(), body, out.size());
    if (text.full > text.max_length) return key.stand_in(text);
    return {};
  }
  static void name_fault(key_writer& out, std::string_view name) {
    if (out.fault && out.fault->field.empty()) out.fault->field = "key_schema." + shown(name);
  }
  template <class Key>
  static void raise_if(key_verdict const& bad) {
    Key::raise_if(bad);
  }
  template <class Key>
  static failure failed(key_fault const& bad) {
    return Key::failed(bad);
  }
};

}  // namespace detail

/// A kind of key whose namespace and names the compiler knows: it sorts and checks the names, and what is
/// left at run time is to write the values between constant texts.
///
///     constexpr tideover::key_schema<"q", "b", "a"> q{.version = 1};
///     q(2, 1).view()   // q:a=1:b=2:v1
///
/// The values come in the order in which the schema names them. The key is the same as the builder's, and can
/// be added to. Costs: no allocation up to 120 bytes. Throws: as `basic_cache_key`. Threads: a plain value.
template <class Key, detail::key_literal Namespace, detail::key_literal... Names>
struct basic_key_schema {
  using plan = detail::key_plan<Namespace, Names...>;
  static_assert(detail::is_namespace(Namespace.view()),
                "tideover::key_schema: a namespace is 1 to 64 bytes of A-Z a-z 0-9 _ . -");
  static_assert(plan::distinct, "tideover::key_schema: a name is given twice");

  /// The version of what is stored under such keys.
  std::uint64_t version = 1;
  /// As `cache_key_options::max_length`.
  std::size_t max_length = cache_key_options{}.max_length;

#if TIDEOVER_EXCEPTIONS
  template <key_value... T>
  Key operator()(T const&... values) const {
    Key key = detail::key_maker::empty<Key>();
    detail::key_maker::raise_if<Key>(fill(key, values...));
    return key;
  }
#endif
  template <key_value... T>
  result<Key> try_key(T const&... values) const {
    Key key = detail::key_maker::empty<Key>();
    if (detail::key_verdict const bad = fill(key, values...)) return detail::key_maker::failed<Key>(*bad);
    return key;
  }

 private:
  template <class... T>
  detail::key_verdict fill(Key& key, T const&... values) const {
    static_assert(sizeof...(T) == plan::count, "tideover::key_schema: one value for each name of the schema");
    return detail::key_maker::fill<plan>(key, version, max_length, std::make_index_sequence<plan::count>(),
                                         values...);
  }
};

template <detail::key_literal Namespace, detail::key_literal... Names>
using key_schema = basic_key_schema<cache_key, Namespace, Names...>;

// ---- Bodies -----------------------------------------------------------------------------------------------

template <class... Policies>
detail::key_verdict basic_cache_key<Policies...>::set_options(options const& o) {
  if (o.max_length < 96 || o.max_length > 250) {
    return detail::key_fault{"cache_key_options.max_length", std::to_string(o.max_length),
                             "between 96 and 250"};
  }
  text_.max_length = static_cast<std::uint8_t>(o.max_length);
  text_.seed_compatible = o.seed_compatible;
  return {};
}

template <class... Policies>
detail::key_verdict basic_cache_key<Policies...>::begin(std::string_view ns, options const& o) {
  if (detail::key_verdict bad = set_options(o)) return bad;
  char* const first = text_.bytes.data();
  char* const end = ns.empty() || ns.size() > detail::max_namespace ? nullptr : detail::write_raw(ns, first);
  if (end == nullptr) {
    return detail::key_fault{"cache_key namespace", '"' + detail::shown(ns) + '"',
                             "1 to 64 bytes of A-Z a-z 0-9 _ . -"};
  }
  std::memcpy(end, ":v1\0\0\0\0", 8);  // in one piece, as `append_in_place` will read it
  text_.bytes.resize(ns.size() + 3);
  text_.set_parts(ns.size(), ns.size(), ns.size(), ns.size() + 3);
  return {};
}

template <class... Policies>
template <class T>
detail::key_verdict basic_cache_key<Policies...>::add_segment(T const& value) {
  if (text_.params == text_.body && !aliases(value) &&
      text_.append_in_place(1 + detail::plain_room(value), [&](char* out) noexcept {
        *out++ = ':';
        return detail::write_plain<normalization_type>(value, out);
      })) {
    text_.params = text_.body;
    hash_.store(0, std::memory_order_relaxed);
    return {};
  }
  detail::key_writer piece(text_.bytes);
  piece.put(':');
  detail::write_value(piece, normalization_, value);
  if (piece.fault) {
    piece.fault->field = "cache_key.segment";
    return std::move(piece.fault);
  }
  std::size_t const n = piece.size();
  return apply({text_.params, text_.params, text_.head, text_.params + n, text_.body + n}, piece.written());
}

template <class... Policies>
template <class T>
detail::key_verdict basic_cache_key<Policies...>::add_param(std::string_view name, T const& value) {
  std::size_t const place = text_.body;
  if (text_.belongs_last(name) && !aliases(name) && !aliases(value) &&
      text_.append_in_place(2 + name.size() + detail::plain_room(value), [&](char* out) noexcept {
        *out++ = ':';
        out = detail::write_raw(name, out);
        if (out == nullptr) return out;
        *out++ = '=';
        return detail::write_plain<normalization_type>(value, out);
      })) {
    text_.last_param = static_cast<std::uint8_t>(place);
    hash_.store(0, std::memory_order_relaxed);
    return {};
  }
  return add_named(name,
                   [&](detail::key_writer& piece) { detail::write_value(piece, normalization_, value); });
}

template <class... Policies>
template <class T, class D>
detail::key_verdict basic_cache_key<Policies...>::add_secret(std::string_view name, T const& value,
                                                             D const& digest) {
  return add_named(name, [&](detail::key_writer& piece) {
    detail::key_buffer plain;
    detail::key_writer text(plain);
    detail::write_value(text, normalization_, value);
    if (text.fault) {
      piece.fault = std::move(text.fault);
      return;
    }
    digest128 const secret = digest(text.written());
    detail::key_buffer hex;
    detail::append_digest(hex, secret);
    piece.put(std::string_view("~p"));
    piece.put(hex.view());
  });
}

template <class... Policies>
template <class Write>
detail::key_verdict basic_cache_key<Policies...>::add_named(std::string_view name, Write write) {
  detail::key_writer piece(text_.bytes);
  piece.put(':');
  piece.escape(name);
  piece.put('=');
  write(piece);
  if (piece.fault) {
    piece.fault->field = param_field(name);
    return std::move(piece.fault);
  }
  auto const [place, there] = text_.find_param(name);
  if (there) return detail::key_fault{param_field(name), "given twice", "given once"};
  std::size_t const n = piece.size();
  return apply({place, place, text_.head, text_.params, text_.body + n}, piece.written());
}

template <class... Policies>
template <class T>
detail::key_verdict basic_cache_key<Policies...>::add_tag(T const& value) {
  detail::key_writer piece(text_.bytes);
  piece.put('{');
  detail::write_value(piece, normalization_, value);
  piece.put(std::string_view("}:"));
  if (piece.fault) {
    piece.fault->field = "cache_key.tag";
    return std::move(piece.fault);
  }
  std::size_t const n = piece.size();
  if (n == 3) return detail::key_fault{"cache_key.tag", "empty", "not empty"};
  if (n > detail::max_tag + 3) {
    return detail::key_fault{"cache_key.tag", std::to_string(n - 3) + " bytes long",
                             "at most " + std::to_string(detail::max_tag) + " bytes"};
  }
  if (text_.kept_whole() && text_.bytes.data()[0] == '{') {
    return detail::key_fault{"cache_key.tag", "given twice", "given once"};
  }
  return apply({0, 0, text_.head + n, text_.params + n, text_.body + n}, piece.written());
}

template <class... Policies>
template <class N>
detail::key_verdict basic_cache_key<Policies...>::add_generation(N generation) {
  if (std::cmp_less(generation, 0)) {
    return detail::key_fault{"cache_key.generation", std::to_string(generation), "0 or more"};
  }
  if (std::string_view(text_.bytes.data(), text_.head).find('@') != std::string_view::npos) {
    return detail::key_fault{"cache_key.generation", "given twice", "given once"};
  }
  detail::key_writer piece(text_.bytes);
  piece.put('@');
  piece.number(static_cast<std::uint64_t>(generation));
  std::size_t const n = piece.size();
  return apply({text_.head, text_.head, text_.head + n, text_.params + n, text_.body + n}, piece.written());
}

template <class... Policies>
template <class N>
detail::key_verdict basic_cache_key<Policies...>::set_version(N version) {
  if (std::cmp_less(version, 0)) {
    return detail::key_fault{"cache_key.version", std::to_string(version), "0 or more"};
  }
  auto const write = [&](char* out) noexcept {
    *out++ = ':';
    *out++ = 'v';
    return std::to_chars(out, out + 20, static_cast<std::uint64_t>(version)).ptr;
  };
  if (text_.set_version_in_place(write)) {
    hash_.store(0, std::memory_order_relaxed);
    return {};
  }
  detail::key_writer piece(text_.bytes);
  piece.put(std::string_view(":v"));
  piece.number(static_cast<std::uint64_t>(version));
  return apply({text_.body, text_.full, text_.head, text_.params, text_.body}, piece.written());
}

template <class... Policies>
detail::key_verdict basic_cache_key<Policies...>::apply(detail::key_edit const& edit,
                                                        std::string_view piece) {
  std::size_t const full = text_.full + piece.size() - (edit.end - edit.begin);
  if (text_.replaced() || text_.seed_compatible || full > text_.max_length) return rebuild(edit, piece);
  if (edit.end == edit.begin) {
    text_.bytes.insert(edit.begin, piece);
  } else {  // only the version, at the end, takes the place of another
    text_.bytes.reserve(edit.begin, piece.size());
    detail::copy_short(text_.bytes.data() + edit.begin, piece.data(), piece.size());
    text_.bytes.resize(full);
  }
  if (edit.begin != text_.body || edit.params == edit.body) {
    text_.last_param = 0;
  } else if (edit.end == edit.begin) {
    text_.last_param = static_cast<std::uint8_t>(edit.begin);
  }
  text_.set_parts(edit.head, edit.params, edit.body, full);
  hash_.store(0, std::memory_order_relaxed);
  return {};
}

template <class... Policies>
detail::key_verdict basic_cache_key<Policies...>::rebuild(detail::key_edit const& edit,
                                                          std::string_view piece) {
  if (!text_.kept_whole()) {
    return detail::key_fault{"cache_key", "as a store keeps it, without its whole text",
                             "whole to be added to"};
  }
  std::string_view const full = text_.full_text();
  detail::key_text next;
  next.max_length = text_.max_length;
  next.seed_compatible = text_.seed_compatible;
  next.bytes.reserve(0, full.size() + piece.size() + 256);
  next.bytes.append(full.substr(0, edit.begin));
  next.bytes.append(piece);
  next.bytes.append(full.substr(edit.end));
  next.set_parts(edit.head, edit.params, edit.body, next.bytes.size());
  if (detail::key_verdict bad = stand_in(next)) return bad;
  text_ = std::move(next);
  hash_.store(0, std::memory_order_relaxed);
  return {};
}

template <class... Policies>
detail::key_verdict basic_cache_key<Policies...>::stand_in(detail::key_text& text) const {
  std::string const full(text.full_text());
  if (text_.seed_compatible) {
    detail::append_seed_form(text.bytes, full, text.head);
    if (text.view().size() <= text_.max_length) return {};
    text.bytes.resize(text.full);
  } else if (full.size() <= text_.max_length) {
    return {};
  }
  if constexpr (requires { digest_.available(); }) {
    if (!digest_.available()) {
      return detail::key_fault{
          "cache_key", std::to_string(full.size()) + " bytes long",
          "at most " + std::to_string(text_.max_length) +
              " bytes long, unless the program has a digest: include <tideover/xxhash.hpp>"};
    }
  }
  digest128 const digest = digest_(full);
  text.bytes.append(std::string_view(full).substr(0, text.head));
  text.bytes.append(":~h");
  detail::append_digest(text.bytes, digest);
  text.bytes.append(std::string_view(full).substr(text.body));
  text.check = detail::check_of(full) | 1;  // 0 means that there is none
  return {};
}

template <class... Policies>
failure basic_cache_key<Policies...>::failed(detail::key_fault const& bad) {
  failure why{.code = errc::invalid_argument};
#if TIDEOVER_EXCEPTIONS
  why.cause = std::make_exception_ptr(
      error(errc::invalid_argument, bad.field + " is " + bad.value + "; it must be " + bad.bounds));
#else
  static_cast<void>(bad);
#endif
  return why;
}

}  // namespace tideover::inline v0

template <class... Policies>
struct std::hash<tideover::basic_cache_key<Policies...>> {
  std::size_t operator()(tideover::basic_cache_key<Policies...> const& key) const noexcept {
    return static_cast<std::size_t>(key.hash());
  }
};
