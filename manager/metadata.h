#pragma once
// What a root and its steps say of themselves.

#include <cairn/codecs/orbax.h>
#include <cairn/export.h>

namespace cairn {

/// Of a root: written once, when it is first opened with ManagerOptions::metadata.
/// internal_metadata is Orbax's own, custom_metadata the user's.
using RootMetadata = orbax::RootMetadata;

}  // namespace cairn
