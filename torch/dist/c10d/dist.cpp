// Stores, groups and collectives. See dist.h.
#define USE_C10D_GLOO 1
#include "dist.h"
#include "parts.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

struct Store {
  c10::intrusive_ptr<c10d::TCPStore> tcp;  // for its port
  c10::intrusive_ptr<c10d::Store> keys;    // the same under a prefix
};

// Group sends tensors on the CPU by Gloo; tensors on a GPU by NCCL where that was opened, else through the host.
struct Group {
  c10::intrusive_ptr<c10d::Store> keys;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  std::shared_ptr<Nccl> nccl;
  milliseconds timeout;
};

int group_rank(Group &g) { return g.gloo->getRank(); }
int group_size(Group &g) { return g.gloo->getSize(); }
milliseconds group_timeout(Group &g) { return g.timeout; }
void group_set(Group &g, const char *key, const std::vector<uint8_t> &value) { g.keys->set(key, value); }
std::vector<uint8_t> group_get(Group &g, const char *key) { return g.keys->get(key); }
std::shared_ptr<Nccl> &group_nccl(Group &g) { return g.nccl; }

// ---- stores

// c10d logs what it also throws, with traces, on standard error. TORCH_CPP_LOG_LEVEL brings that back.
static void quieten() {
  if (!getenv("TORCH_CPP_LOG_LEVEL")) FLAGS_caffe2_log_level = c10::GLOG_FATAL;
}

static c10d::TCPStoreOptions store_options(int port, bool serve, int ms) {
  c10d::TCPStoreOptions o;
  o.port = port;
  o.isServer = serve;
  o.waitWorkers = false;  // who is missing is found out, and named, one level up
  o.timeout = milliseconds(ms);
  return o;
}

char *cd_store_open(void **o, const char *host, int *port, int serve, const char *prefix, int ms) {
  TRY(quieten(); auto s = std::make_unique<Store>();
      s->tcp = c10::make_intrusive<c10d::TCPStore>(std::string(host), store_options(*port, serve, ms));
      *port = s->tcp->getPort(); s->keys = s->tcp;
      if (*prefix) s->keys = c10::make_intrusive<c10d::PrefixStore>(std::string(prefix), s->keys);
      *o = s.release())
}
void cd_store_close(void *s) { delete static_cast<Store *>(s); }

static c10d::Store &keys(void *s) { return *static_cast<Store *>(s)->keys; }
static std::vector<uint8_t> bytes(const void *p, size_t n) {
  auto b = static_cast<const uint8_t *>(p);
  return n ? std::vector<uint8_t>(b, b + n) : std::vector<uint8_t>();
}

char *cd_store_set(void *s, const char *key, const void *value, size_t n) { TRY(keys(s).set(key, bytes(value, n))) }
char *cd_store_first(void *s, const char *key, const void *value, size_t n) {
  TRY(keys(s).compareSet(key, {}, bytes(value, n)))
}
char *cd_store_get(void *s, const char *key, void **value, size_t *n) {
  TRY(*value = nullptr; *n = 0; std::string k(key);
      if (!keys(s).check({k})) return nullptr;
      auto v = keys(s).get(k); *value = malloc(v.size() + 1); memcpy(*value, v.data(), v.size()); *n = v.size())
}

// ---- groups

static std::shared_ptr<gloo::transport::Device> device(const std::string &interface, const std::string &host) {
  using PG = c10d::ProcessGroupGloo;
  if (!interface.empty()) return PG::createDeviceForInterface(interface);
  if (!host.empty()) return PG::createDeviceForHostname(host);
  return PG::createDefaultDevice();
}

char *cd_group_open(void **o, void *store, int rank, int size, const char *interface, const char *host, int ms) {
  TRY(auto g = std::make_unique<Group>(); g->keys = static_cast<Store *>(store)->keys; g->timeout = milliseconds(ms);
      auto options = c10d::ProcessGroupGloo::Options::create(g->timeout);
      options->devices.push_back(device(interface, host));
      options->threads = 2;
      auto below = c10::make_intrusive<c10d::PrefixStore>("gloo", g->keys);
      g->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(below, rank, size, options);
      *o = g.release())
}
void cd_group_close(void *g) { delete static_cast<Group *>(g); }

static Group &group(void *g) { return *static_cast<Group *>(g); }

namespace {
struct Pending {
  std::vector<Tensor> args;
  c10::intrusive_ptr<c10d::Work> work;
};
}  // namespace

Sum begin_sum(Group &g, const Tensor &t) {
  Sum s{t, {}, nullptr};
  if (t.is_cuda() && g.nccl) {
    nccl_sum(g, t);
    return s;
  }
  s.host = t.is_cpu() && t.is_contiguous() ? t : t.to(at::kCPU).contiguous();
  auto p = std::make_shared<Pending>();
  p->args = {s.host};
  p->work = g.gloo->allreduce(p->args);
  s.work = p;
  return s;
}
void end_sum(Group &g, Sum &s) {
  if (!s.work) return nccl_wait(g, s.t);
  static_cast<Pending *>(s.work.get())->work->wait();
  if (!s.host.is_same(s.t)) s.t.copy_(s.host);
}

char *cd_allreduce(void *gp, void **ts, int n) {
  TRY(at::NoGradGuard no; auto &g = group(gp); std::vector<Sum> sums;
      for (int i = 0; i < n; i++) sums.push_back(begin_sum(g, T(ts[i])));
      for (auto &s : sums) end_sum(g, s))
}
char *cd_broadcast(void *gp, void **ts, int n, int root) {
  TRY(at::NoGradGuard no; auto &g = group(gp); c10d::BroadcastOptions o; o.rootRank = root;
      for (int i = 0; i < n; i++) {
        auto &t = T(ts[i]);
        if (t.is_cuda() && g.nccl) {
          nccl_broadcast(g, t, root);
          nccl_wait(g, t);
          continue;
        }
        std::vector<Tensor> host{t.is_cpu() && t.is_contiguous() ? t : t.to(at::kCPU).contiguous()};
        g.gloo->broadcast(host, o)->wait();
        if (!host[0].is_same(t)) t.copy_(host[0]);
      })
}
char *cd_sum(void *g, double *v, int64_t n) {
  TRY(std::vector<Tensor> t{at::from_blob(v, {n}, at::kDouble)}; group(g).gloo->allreduce(t)->wait())
}
char *cd_allgather(void *gp, const void *p, int64_t n, void *out) {
  TRY(auto &g = group(gp); std::vector<Tensor> in{at::empty({n}, at::kByte)}; memcpy(in[0].data_ptr(), p, n);
      std::vector<std::vector<Tensor>> all(1);
      for (int i = 0; i < g.gloo->getSize(); i++)
        all[0].push_back(at::from_blob(static_cast<char *>(out) + i * n, {n}, at::kByte));
      g.gloo->allgather(all, in)->wait())
}

// The rest of the room, in the same unit of compilation: the headers above take longer than all of it.
#include "buckets.hpp"
#include "nccl.hpp"
