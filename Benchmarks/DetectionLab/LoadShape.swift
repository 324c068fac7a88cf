import Glibc

/// How busy a service is, as a factor around 1: a shape and noise that is correlated over half a minute.
public struct LoadShape: Sendable {
  public enum Form: Sendable, CaseIterable {
    case flat
    /// A sine of 0.3 to 0.6.
    case cycle
    /// High for one part of a period, low for the other.
    case square
    /// Rises by half over the hour.
    case ramp
  }

  let form: Form
  let period: Double
  let amplitude: Double
  private let phase: Double
  private var noise = 0.0
  private static let noiseSeconds = 30.0
  /// Standard deviation of the noise's logarithm.
  private let sigma: Double

  init(form: Form, period: Double, amplitude: Double, phase: Double = 0, noise sigma: Double = 0) {
    self.sigma = sigma
    self.form = form
    self.period = period
    self.amplitude = amplitude
    self.phase = phase
  }

  public init(_ parameters: ParameterSet, _ random: inout RandomSource) {
    sigma = 0.15
    form = Form.allCases[random.below(Form.allCases.count)]
    period = parameters.holding(300, 1200, &random)
    amplitude = random.uniform(0.3, 0.6)
    phase = random.unit()
  }

  /// The factor at `seconds` after the attach; to be asked once a tick, since the noise goes on.
  mutating func next(_ seconds: Double, _ random: inout RandomSource) -> Double {
    let keep = exp(-Ledger.tick / Self.noiseSeconds)
    noise = keep * noise + sigma * (1 - keep * keep).squareRoot() * random.normal()
    return max(0.02, shape(seconds) * exp(noise - sigma * sigma / 2))
  }

  /// The factor without the noise; its mean over a period is 1 but for the ramp.
  func shape(_ seconds: Double) -> Double {
    let turn = (seconds / period + phase) - (seconds / period + phase).rounded(.down)
    switch form {
    case .flat: return 1
    case .cycle: return 1 + amplitude * sin(2 * .pi * turn)
    case .square: return turn < 0.5 ? 1 + amplitude : 1 - amplitude
    case .ramp: return 1 + 0.5 * min(max(seconds / 3600, 0), 1)
    }
  }
}

/// Which world the parameters of behaviours are drawn from.
public enum ParameterSet: String, Sendable, CaseIterable {
  /// What thresholds may be tuned on.
  case development
  /// Wider ranges, other seeds, and classes that development does not have; holding times of up to 20 minutes.
  case heldOut
  /// The same with holding times of up to 40 minutes.
  case heldOutLong

  /// Whether classes and ranges are those of the held-out world.
  public var isHeldOut: Bool { self != .development }

  /// A number from a range that is wider in the held-out world.
  func spread(_ low: Double, _ high: Double, _ random: inout RandomSource) -> Double {
    isHeldOut ? random.spread(low / 1.5, high * 1.5) : random.spread(low, high)
  }

  /// Seconds that things stay or that a cycle takes.
  func holding(_ low: Double, _ high: Double, _ random: inout RandomSource) -> Double {
    switch self {
    case .development: random.spread(low, high)
    case .heldOut: random.spread(low / 1.5, min(high * 1.5, 1200))
    case .heldOutLong: random.spread(low / 1.5, high * 2)
    }
  }
}
