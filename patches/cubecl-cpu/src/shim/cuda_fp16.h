#pragma once
#include "host_float16.h"
using __half = host::Float16<host::Half>;
using __half2 = host::Pair16<host::Half>;
