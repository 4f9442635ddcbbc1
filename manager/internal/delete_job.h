#pragma once
// One deletion from its call to its end. Runs on the strand.

#include <cairn/engine/deadline.h>
#include <cairn/manager/impl/shared_state.h>
#include <cairn/manager/internal/process_group.h>
#include <cairn/manager/internal/step_index.h>
#include <cairn/manager/internal/storage.h>
#include <cairn/manager/internal/writer_turn.h>
#include <cairn/manager/save_future.h>

#include <boost/asio/cancellation_signal.hpp>
#include <memory>
#include <utility>

namespace cairn::internal {

struct DeleteJob {
  DeleteJob(Step which, StepIndex::DeleteId in_list, GroupScopePtr of)
      : step(which), listed(in_list), scope(std::move(of)) {}
  const Step step;
  const StepIndex::DeleteId listed;  ///< it, in the manager's list
  const GroupScopePtr scope;  ///< of the processes that delete it together; none where there is one
  const std::shared_ptr<impl::SharedState<void>> done = std::make_shared<impl::SharedState<void>>();
  boost::asio::cancellation_signal signal;
  WriterTurn::PlacePtr turn;
  FolderPtr root;            ///< once it writes
  bool past_recall = false;  ///< the step may have lost its name, or another process deletes it
  bool gone = false;         ///< renamed away: it is no step any more, whatever is left of it
  bool settled = false;      ///< its future has its result
  engine::QuarantineEntry quarantine;  ///< held from a missed deadline to the end of the coroutine
};

}  // namespace cairn::internal
