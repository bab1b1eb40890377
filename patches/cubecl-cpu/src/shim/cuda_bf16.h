#pragma once
#include "host_float16.h"
using __nv_bfloat16 = host::Float16<host::Brain>;
using __nv_bfloat162 = host::Pair16<host::Brain>;
