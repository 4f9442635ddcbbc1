#pragma once
// Whose turn it is to write in a root: one save or deletion at a time. Strand only.

#include <cairn/manager/impl/shared_state.h>

#include <list>
#include <memory>

namespace cairn::internal {

using Event = std::shared_ptr<impl::SharedState<void>>;

/// A line, served in the order of arrival but for those who are preferred.
class WriterTurn {
 public:
  /// In the line, and later the turn itself. Its end leaves the line or hands the turn on.
  class Place {
   public:
    Place() = default;
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place();
    /// Set when the turn has come.
    [[nodiscard]] const Event& called() const noexcept { return called_; }

   private:
    friend class WriterTurn;
    Event called_ = std::make_shared<impl::SharedState<void>>();
    bool preferred_ = false;
    bool relievable_ = false;
    std::shared_ptr<std::list<Place*>> line_;  ///< null once it has left
  };
  using PlacePtr = std::unique_ptr<Place>;

  [[nodiscard]] PlacePtr line_up();
  /// To the head of the line, behind those preferred before. Nothing where the turn has come.
  void prefer(Place& place);
  /// From now on its holder can do without the turn.
  static void allow_relief(Place& place) noexcept { place.relievable_ = true; }
  /// Takes the turn from a holder that can do without it.
  void relieve();

 private:
  static void leave(Place& place);
  static void call_first(const std::list<Place*>& line);
  std::shared_ptr<std::list<Place*>> line_ = std::make_shared<std::list<Place*>>();
};

}  // namespace cairn::internal
