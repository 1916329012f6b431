// One of several values, copied safely.
#ifndef BQENGINE_VARIANT_H_
#define BQENGINE_VARIANT_H_

#include <type_traits>
#include <utility>
#include <variant>

namespace bqengine {

// A std::variant: std::get, std::get_if, std::holds_alternative, std::visit and
// the comparisons take it. Its copies differ: that of libstdc++ 12, where an
// alternative's copy throws, destroys an alternative that was never made if all
// of them are strings, vectors and plain values. Here the alternative is copied
// first and moved in, so that a copy that throws leaves nothing behind, and an
// assignment that throws the old value.
template <typename... Types>
class Variant : public std::variant<Types...> {
  using Base = std::variant<Types...>;
  static_assert(std::is_nothrow_move_constructible_v<Base> &&
                std::is_nothrow_move_assignable_v<Base>);

 public:
  using Base::Base;
  using Base::operator=;
  Variant() = default;
  Variant(const Variant& other) : Base(Copy(other)) {}
  Variant(Variant&&) = default;
  Variant& operator=(const Variant& other) { return *this = Variant(other); }
  Variant& operator=(Variant&&) = default;
  ~Variant() = default;

 private:
  static Base Copy(const Base& other) {
    return std::visit(
        [](const auto& held) {
          using Type = std::remove_cvref_t<decltype(held)>;
          return Base(std::in_place_type<Type>, held);
        },
        other);
  }
};

}  // namespace bqengine

#endif  // BQENGINE_VARIANT_H_
