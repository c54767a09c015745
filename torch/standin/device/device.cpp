//go:build standin

// What libtorch asks a device for: the current one, streams and events (there is nothing to wait for), generators.
#include "memory.hpp"
#include "standin.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstdlib>
#include <mutex>

namespace standin {

at::Generator inner_generator(int device);
const void *graphs();

namespace {

c10::Device device(int i) { return c10::Device(c10::kPrivateUse1, (c10::DeviceIndex)i); }

thread_local int64_t streams[max_devices] = {0};

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::kPrivateUse1; }
  c10::Device exchangeDevice(c10::Device d) const override {
    const c10::Device before = getDevice();
    setDevice(d);
    return before;
  }
  c10::Device getDevice() const override { return device(current_device()); }
  void setDevice(c10::Device d) const override {
    TORCH_CHECK(d.index() < device_count, "CUDA error: invalid device ordinal");
    if (d.index() >= 0) set_current_device(d.index());
  }
  void uncheckedSetDevice(c10::Device d) const noexcept override {
    if (d.index() >= 0) set_current_device(d.index());
  }
  c10::Stream getStream(c10::Device d) const override {
    const int i = d.index() < 0 ? current_device() : d.index();
    return c10::Stream(c10::Stream::UNSAFE, device(i), streams[i]);
  }
  c10::Stream getDefaultStream(c10::Device d) const override { return c10::Stream(c10::Stream::DEFAULT, d); }
  c10::Stream getStreamFromGlobalPool(c10::Device d, bool = false) const override { return getNewStream(d); }
  c10::Stream getNewStream(c10::Device d, int = 0) const override {
    static std::atomic<int64_t> n{0};
    return c10::Stream(c10::Stream::UNSAFE, device(d.index() < 0 ? current_device() : d.index()), ++n);
  }
  c10::Stream exchangeStream(c10::Stream s) const override {
    const c10::Stream before = getStream(s.device());
    streams[s.device_index()] = s.id();
    return before;
  }
  void record(void **, const c10::Stream &, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void *, const c10::Stream &) const override {}
  bool queryEvent(void *) const override { return true; }
  c10::DeviceIndex deviceCount() const noexcept override { return (c10::DeviceIndex)device_count; }
  bool queryStream(const c10::Stream &) const override { return true; }
  void synchronizeStream(const c10::Stream &) const override { crossed(counters.waits, "wait for a stream", 0); }
  void synchronizeEvent(void *) const override { crossed(counters.waits, "wait for an event", 0); }
  void synchronizeDevice(const c10::DeviceIndex) const override { crossed(counters.waits, "wait for the device", 0); }
};

// Generator draws by a CPU generator of its own, which the fallback hands to the CPU's operators.
struct Generator final : c10::GeneratorImpl {
  explicit Generator(int i)
      : c10::GeneratorImpl(standin::device(i), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)),
        inner(at::make_generator<at::CPUGeneratorImpl>(c10::default_rng_seed_val)) {}
  void set_current_seed(uint64_t s) override { inner.set_current_seed(s); }
  void set_offset(uint64_t) override { TORCH_CHECK(false, "stand-in: a generator without offsets"); }
  uint64_t get_offset() const override { return 0; }
  uint64_t current_seed() const override { return inner.current_seed(); }
  uint64_t seed() override { return inner.seed(); }
  void set_state(const c10::TensorImpl &s) override { inner.unsafeGetGeneratorImpl()->set_state(s); }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return inner.unsafeGetGeneratorImpl()->get_state(); }
  c10::GeneratorImpl *clone_impl() const override {
    auto *g = new Generator(device_.index());
    g->inner = inner.clone();
    return g;
  }
  at::Generator inner;
};

const at::Generator &generator(int i) {
  static std::mutex mutex;
  static at::Generator all[max_devices];
  std::lock_guard<std::mutex> lock(mutex);
  if (i < 0) i = current_device();
  if (!all[i].defined()) all[i] = at::make_generator<Generator>(i);
  return all[i];
}

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return device_count > 0; }
  c10::DeviceIndex deviceCount() const override { return (c10::DeviceIndex)device_count; }
  void setCurrentDevice(c10::DeviceIndex d) const override { set_current_device(d); }
  c10::DeviceIndex getCurrentDevice() const override { return (c10::DeviceIndex)current_device(); }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex d) const override {
    const int before = current_device();
    set_current_device(d);
    return (c10::DeviceIndex)before;
  }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex d) const override { return exchangeDevice(d); }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  const at::Generator &getDefaultGenerator(c10::DeviceIndex d) const override { return generator(d); }
  at::Generator getNewGenerator(c10::DeviceIndex d) const override { return at::make_generator<Generator>(d); }
  at::Device getDeviceFromPtr(void *p) const override { return device(device_of(p)); }
  bool isPinnedPtr(const void *p) const override { return is_pinned(p); }
  at::Allocator *getPinnedMemoryAllocator() const override { return pinned_allocator(); }
  void resizePrivateUse1Bytes(const c10::Storage &s, size_t n) const override {
    c10::DataPtr p = allocator()->allocate(n);
    if (s.nbytes() && n) memcpy(host(p.get()), host(s.data()), std::min(n, s.nbytes()));
    s.set_data_ptr_noswap(std::move(p));
    s.set_nbytes(n);
  }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

}  // namespace

at::Generator inner_generator(int device) {
  return static_cast<Generator *>(generator(device).unsafeGetGeneratorImpl())->inner;
}

}  // namespace standin

int si_install(int devices) {
  static std::once_flag once;
  std::call_once(once, [&] {
    standin::device_count = std::min(devices, standin::max_devices);
    c10::SetAllocator(c10::kPrivateUse1, standin::allocator());
    c10::register_privateuse1_backend("standin");
    at::RegisterPrivateUse1HooksInterface(new standin::Hooks);
  });
  return (int)c10::kPrivateUse1;
}

int si_peek(void *handle) {
  return *static_cast<volatile const char *>(static_cast<const at::Tensor *>(handle)->const_data_ptr());
}

const void *si_graphs(void) { return standin::graphs(); }
