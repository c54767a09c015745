//go:build dist && linux && amd64

// What the headers of newer C++ compilers call and the libstdc++ of GCC 8 does not have: see glibc.c. The names are those
// that compilers give these functions.
#include <cxxabi.h>

#include <ios>
#include <new>
#include <typeinfo>

extern "C" {

void stream_out(void *, std::ios_base::openmode)
    __asm__("_ZNSt7__cxx1119basic_ostringstreamIcSt11char_traitsIcESaIcEEC1ESt13_Ios_Openmode");

void new_stream(void *s) __asm__("_ZNSt7__cxx1119basic_ostringstreamIcSt11char_traitsIcESaIcEEC1Ev");
void new_stream(void *s) { stream_out(s, std::ios_base::out); }

void bad_length() __asm__("_ZSt28__throw_bad_array_new_lengthv");
void bad_length() { throw std::bad_array_new_length(); }

// What stands before a thrown object: the C++ ABI lays it down, and GCC puts the count of std::exception_ptr before that.
struct Thrown {
  int references;
  alignas(16) std::type_info *type;
  void (*destroy)(void *);
  void *rest[12];
};
static_assert(sizeof(Thrown) == 128, "as in GCC's unwind-cxx.h");

static Thrown *before(void *object) { return static_cast<Thrown *>(object) - 1; }

// std::exception_ptr is a pointer to such an object, or null.
void take(void **p) __asm__("_ZNSt15__exception_ptr13exception_ptr9_M_addrefEv");
void take(void **p) {
  if (*p) __atomic_add_fetch(&before(*p)->references, 1, __ATOMIC_ACQ_REL);
}

void give_back(void **p) __asm__("_ZNSt15__exception_ptr13exception_ptr10_M_releaseEv");
void give_back(void **p) {
  if (!*p) return;
  Thrown *t = before(*p);
  if (__atomic_sub_fetch(&t->references, 1, __ATOMIC_ACQ_REL) == 0) {
    if (t->destroy) t->destroy(*p);
    abi::__cxa_free_exception(*p);
  }
  *p = nullptr;
}
}
