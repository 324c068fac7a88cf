import Testing

@testable import Processes

@Suite("words that the kernel keeps")
struct KernelHeldWordsTests {
  @Test("the data of an epoll instance's entries, as fdinfo has them")
  func epoll() {
    let text = """
      pos:\t0
      flags:\t02
      tfd:        8 events:       19 data:     7f3b1c0012a0  pos:0 ino:61 sdev:7
      tfd:        9 events:       19 data: ffffffffffffffff  pos:0 ino:61 sdev:7
      tfd:       10 events:
      """
    #expect(KernelHeldWords.epollData(Array(text.utf8)) == [0x7f3b_1c00_12a0, .max])
  }

  @Test("the values of timers")
  func timers() {
    let text = """
      ID: 1
      signal: 60/00007fff86e452a8
      notify: signal/pid.2634
      ClockID: 0
      """
    #expect(KernelHeldWords.timerValues(Array(text.utf8)) == [0x7fff_86e4_52a8])
  }
}
