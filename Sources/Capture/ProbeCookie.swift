import Binaries
import CProbes
import Probes
import Profile

/// What a program is told at a probe: see the cookies in abi.h.
enum ProbeCookie {
  /// A function that is not on trial.
  static let noFunction = Int(DRIP_FUNCTIONS)

  /// For the entry of a function, and its return.
  static func entry(_ site: ProbeSite, process: Int, function: Int = noFunction) -> UInt64 {
    UInt64(site.call.rawValue) | UInt64(process) << 8 | UInt64(function) << 24
  }

  /// For a site inside; nil if its values stand where the cookie cannot say.
  static func inner(_ site: OneTrapSite, process: Int, function: Int) -> UInt64? {
    let words = site.frameBytes / 8
    guard site.frameBytes % 8 == 0, (1...255).contains(words),
      let result = place(site.result), let size = place(site.size),
      let pointer = place(site.callerFramePointer)
    else { return nil }
    var cookie = role(site.role) << UInt64(DRIP_INNER_ROLE.rawValue)
    if let edge = site.edge {
      cookie |= UInt64(edge.condition & 15) << UInt64(DRIP_INNER_CONDITION.rawValue)
      cookie |= (edge.isTaken ? 2 : 1) << UInt64(DRIP_INNER_EDGE.rawValue)
    }
    cookie |= UInt64(process) << UInt64(DRIP_INNER_PROCESS.rawValue)
    cookie |= UInt64(function) << UInt64(DRIP_INNER_FUNCTION.rawValue)
    cookie |= result << UInt64(DRIP_INNER_RESULT.rawValue)
    cookie |= size << UInt64(DRIP_INNER_SIZE.rawValue)
    cookie |= pointer << UInt64(DRIP_INNER_FP.rawValue)
    cookie |= UInt64(words) << UInt64(DRIP_INNER_FRAME.rawValue)
    return cookie
  }

  /// For a trace point; nil if its values stand where the cookie cannot say.
  static func usdt(_ site: USDTPlan.Site, process: Int) -> UInt64? {
    guard let pointer = value(site.pointer), let weight = site.weightedBytes.map(value) ?? 0 else {
      return nil
    }
    return UInt64(process) << 8 | pointer << UInt64(DRIP_USDT_POINTER.rawValue)
      | weight << UInt64(DRIP_USDT_WEIGHT.rawValue)
  }

  private static func value(_ argument: USDTArgument) -> UInt64? {
    guard argument.size == 8 || argument.size == 4 else { return nil }
    let short: UInt64 = argument.size == 4 ? 1 << UInt64(DRIP_USDT_SHORT.rawValue) : 0
    switch argument.location {
    case .register(let number): return UInt64(number & 15) | short
    case .memory(let base, let displacement) where (-2048..<2048).contains(displacement):
      return UInt64(base & 15) | 1 << UInt64(DRIP_USDT_MEMORY.rawValue) | short
        | (UInt64(bitPattern: displacement) & 0xfff) << UInt64(DRIP_USDT_DISPLACEMENT.rawValue)
    case .memory, .constant: return nil
    }
  }

  private static func role(_ role: OneTrapSite.Role) -> UInt64 {
    switch role {
    case .leave: UInt64(DRIP_ROLE_LEAVE.rawValue)
    case .record: UInt64(DRIP_ROLE_RECORD.rawValue)
    case .remember: UInt64(DRIP_ROLE_REMEMBER.rawValue)
    case .settle: UInt64(DRIP_ROLE_SETTLE.rawValue)
    }
  }

  /// Six bits: 0 to 15 a register, from 16 on a word of the stack. What a site does not tell is 0.
  private static func place(_ place: Place?) -> UInt64? {
    switch place {
    case nil: 0
    case .register(let number)?: (0..<16).contains(number) ? UInt64(number) : nil
    case .stack(let bytes)?: bytes >= 0 && bytes % 8 == 0 && bytes / 8 < 48 ? UInt64(16 + bytes / 8) : nil
    }
  }
}
