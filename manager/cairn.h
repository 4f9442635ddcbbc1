#pragma once
// Everything a user of the library needs.

#include <cairn/codecs/array.h>
#include <cairn/codecs/dtype.h>
#include <cairn/codecs/leaf.h>
#include <cairn/codecs/tree.h>
#include <cairn/engine/engine.h>
#include <cairn/manager/args.h>
#include <cairn/manager/checkpoint_info.h>
#include <cairn/manager/checkpoint_manager.h>
#include <cairn/manager/codec.h>
#include <cairn/manager/error.h>
#include <cairn/manager/future.h>
#include <cairn/manager/inspect.h>
#include <cairn/manager/logger.h>
#include <cairn/manager/metadata.h>
#include <cairn/manager/options.h>
#include <cairn/manager/preemption.h>
#include <cairn/manager/preservation_policy.h>
#include <cairn/manager/read_tree.h>
#include <cairn/manager/safetensors.h>
#include <cairn/manager/save_future.h>
#include <cairn/manager/save_policy.h>
#include <cairn/manager/step_name.h>
#include <cairn/manager/version.h>
#include <cairn/version.h>
