// The translation unit that carries the precompiled header (tools/cmake/pch.h).
