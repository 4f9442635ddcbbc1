#include <cairn/manager/internal/writer_turn.h>

#include <algorithm>
#include <iterator>

namespace cairn::internal {

WriterTurn::Place::~Place() {
  leave(*this);
}

void WriterTurn::call_first(const std::list<Place*>& line) {
  if (line.empty() || line.front()->called_->ready()) return;
  line.front()->called_->set(nullptr, impl::Unit());
}

void WriterTurn::leave(Place& place) {
  const auto line = std::move(place.line_);
  if (!line) return;
  line->remove(&place);
  call_first(*line);
}

WriterTurn::PlacePtr WriterTurn::line_up() {
  auto place = std::make_unique<Place>();
  place->line_ = line_;
  line_->push_back(place.get());
  call_first(*line_);
  return place;
}

void WriterTurn::prefer(Place& place) {
  place.preferred_ = true;
  if (place.line_ != line_ || line_->front() == &place) return;
  line_->remove(&place);
  const auto ordinary = std::find_if(std::next(line_->begin()), line_->end(),
                                     [](const Place* other) { return !other->preferred_; });
  line_->insert(ordinary, &place);
}

void WriterTurn::relieve() {
  if (!line_->empty() && line_->front()->relievable_) leave(*line_->front());
}

}  // namespace cairn::internal
