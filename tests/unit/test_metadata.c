#include "unit_test.h"
Test(todo, todo) {}
