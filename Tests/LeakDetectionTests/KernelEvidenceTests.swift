import Profile
import Testing

@testable import LeakDetection

@Suite("what speaks against a leak in the kernel")
struct KernelEvidenceTests {
  private func cache(_ name: String, before: UInt64, now: UInt64, tracked: UInt64, reclaimable: Bool = false)
    -> KernelProfile.Cache
  {
    KernelProfile.Cache(
      name: name, aliases: ["alias-of-" + name], objectBytes: 128, activeBefore: before, activeNow: now,
      isReclaimable: reclaimable, trackedCount: tracked)
  }

  private func site(_ functions: [String]) -> Site {
    Site(
      pid: 1, outstandingBytes: 1, outstandingCount: 1, allocs: 1, frees: 0, allocatedBytes: 1,
      frames: functions.map { Frame(address: 1, function: $0, module: KernelFrame.module) })
  }

  private func detail(_ cache: String?, _ domain: KernelDomain = .slab) -> KernelProfile.Detail {
    KernelProfile.Detail(origin: KernelOrigin(domain: domain), cache: cache)
  }

  private func evidence(_ caches: [KernelProfile.Cache], unheard: [String] = []) -> KernelEvidence {
    KernelEvidence(caches: caches, coverage: KernelCoverage(backend: .rawtp, unheardFrees: unheard))
  }

  @Test("a cache that has grown with what is counted confirms it")
  func confirmed() {
    let evidence = evidence(
      [cache("kmalloc-256", before: 1000, now: 2000, tracked: 1000)], unheard: ["kfree_rcu"])
    #expect(evidence.caveat(site(["newque"]), detail("kmalloc-256")) == nil)
    #expect(evidence.isCorroborated(detail("kmalloc-256")) == true)
    #expect(evidence.isCorroborated(detail("alias-of-kmalloc-256")) == true)
  }

  @Test("a cache that has not grown with it: the objects are gone, unheard")
  func refuted() {
    let evidence = evidence([cache("eventpoll_epi", before: 400, now: 470, tracked: 1000)])
    let caveat = evidence.caveat(site(["do_epoll_ctl"]), detail("eventpoll_epi"))
    #expect(caveat == .unheardFrees(tracked: 1000, grown: 70))
    #expect(evidence.isCorroborated(detail("eventpoll_epi")) == false)
    // Some hundreds are what CPUs keep ready: they say nothing.
    let few = self.evidence([cache("eventpoll_epi", before: 400, now: 400, tracked: 500)])
    #expect(few.caveat(site(["do_epoll_ctl"]), detail("eventpoll_epi")) == nil)
  }

  @Test("where frees are not heard, numbers that CPUs' ready objects hide accuse nobody")
  func few() {
    for (tracked, now) in [(300, 400), (500, 400), (40, 440)] as [(UInt64, UInt64)] {
      let caches = [cache("eventpoll_epi", before: 400, now: now, tracked: tracked)]
      let site = site(["do_epoll_ctl"])
      #expect(
        evidence(caches, unheard: ["kfree_rcu"]).caveat(site, detail("eventpoll_epi")) == .notComparable)
      #expect(evidence(caches).caveat(site, detail("eventpoll_epi")) == nil)
      #expect(evidence(caches).isCorroborated(detail("eventpoll_epi")) == nil)
    }
  }

  @Test("a cache that was inferred is not held against growth that another one of its size explains")
  func inferred() {
    let caches = [
      cache("kmalloc-128", before: 900, now: 1000, tracked: 2000),
      cache("kmalloc-rnd-03-128", before: 0, now: 1900, tracked: 0),
    ]
    let told = KernelProfile.Detail(
      origin: KernelOrigin(domain: .slab, cache: "kmalloc-128"), cache: "kmalloc-128")
    for unheard in [[], ["kfree_rcu"]] {
      let evidence = evidence(caches, unheard: unheard)
      #expect(evidence.isCorroborated(detail("kmalloc-128")) == nil)
      #expect(evidence.caveat(site(["f"]), detail("kmalloc-128")) == (unheard.isEmpty ? nil : .notComparable))
      #expect(evidence.isCorroborated(told) == false)
    }
  }

  @Test("the change of a cache is told in words")
  func words() {
    func words(_ grown: Int64) -> String {
      KernelEvidence.Caveat.unheardFrees(tracked: 1767, grown: grown).sentence
    }
    #expect(words(-188).hasPrefix("the cache has 188 fewer objects in use while 1,767 of them are counted"))
    #expect(words(70).hasPrefix("the cache has 70 more objects in use"))
    #expect(words(0).hasPrefix("the cache has as many objects as before in use"))
  }

  @Test("without figures of the cache it depends on whether all frees are heard")
  func incomparable() {
    #expect(evidence([]).caveat(site(["f"]), detail("own")) == nil)
    #expect(evidence([], unheard: ["kfree_rcu"]).caveat(site(["f"]), detail("own")) == .notComparable)
    #expect(evidence([], unheard: ["kfree_rcu"]).caveat(site(["f"]), detail(nil, .vmalloc)) == nil)
    #expect(evidence([]).isCorroborated(detail("own")) == nil)
  }

  @Test("caches that shrink by themselves, what is kept for a time, and the allocator's own")
  func known() {
    let evidence = evidence([cache("some", before: 0, now: 9000, tracked: 9000, reclaimable: true)])
    #expect(evidence.caveat(site(["f"]), detail("some")) == .reclaimable(cache: "some"))
    #expect(
      evidence.caveat(site(["f"]), detail("ext4_inode_cache")) == .reclaimable(cache: "ext4_inode_cache"))
    #expect(evidence.caveat(site(["f"]), detail("tw_sock_TCP")) == .timeLimited(what: "sockets in TIME_WAIT"))
    #expect(evidence.caveat(site(["alloc_slab_obj_exts"]), detail("some")) == .bookkeeping)
  }

  @Test("no verdict goes beyond what the caveat leaves")
  func cap() {
    let leak = Verdict(level: .leak, evidence: VerdictTests.suspected())
    #expect(KernelEvidence.cap(leak, nil).level == .leak)
    #expect(KernelEvidence.cap(leak, .reclaimable(cache: "dentry")).level == .watch)
    #expect(KernelEvidence.cap(leak, .notComparable).level == .watch)
    #expect(KernelEvidence.cap(leak, .unheardFrees(tracked: 9, grown: 0)).level == .watch)
    let steady = Verdict(level: .steady, evidence: leak.evidence)
    #expect(KernelEvidence.cap(steady, .bookkeeping).level == .steady)
  }

  @Test("callers are armed when they rise again and again, and by enough")
  func arming() {
    func snapshot(_ counts: [UInt32: UInt64], bytes: UInt64 = 10) -> Snapshot {
      Snapshot(
        elapsedSeconds: 1,
        sites: counts.map { id, count in
          SiteCounts(
            id: id, process: 0, allocs: count, frees: 0, allocatedBytes: count * bytes, freedBytes: 0)
        })
    }
    var policy = ArmingPolicy()
    // 1 grows, 2 stays, 3 goes up and down, 4 grows by too little.
    #expect(policy.add(snapshot([1: 10, 2: 100, 3: 50, 4: 1])).isEmpty)
    #expect(policy.add(snapshot([1: 20, 2: 100, 3: 10, 4: 2])).isEmpty)
    #expect(policy.add(snapshot([1: 30, 2: 100, 3: 20, 4: 3])) == [1])
    #expect(policy.add(snapshot([1: 40, 2: 100, 3: 10, 4: 3])) == [1])
    // However long it is watched, what comes and goes is not armed; what leaks among it is.
    for look in 0..<100 as Range<UInt64> {
      let swing: UInt64 = look % 2 == 0 ? 100 : 130 + look % 7
      let armed = policy.add(snapshot([6: swing, 7: swing + 10 * look]))
      #expect(armed.allSatisfy { $0 == 7 } && (look < 9 || armed == [7]), "\(armed) at look \(look)")
    }
    // Few objects, but large ones.
    var large = ArmingPolicy()
    for count in [1, 2] as [UInt64] { #expect(large.add(snapshot([5: count], bytes: 4000)).isEmpty) }
    #expect(large.add(snapshot([5: 3], bytes: 4000)) == [5])
  }
}
