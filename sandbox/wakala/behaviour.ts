/** How a version of the service does its work. */
export type Behaviour = 'good' | 'bad' | 'slow' | 'leak';

/** What a version makes of one request. */
export interface Outcome {
  readonly failed: boolean;
  readonly delayMs: number;
}

const slowMs = 3000;

/** The version that an image is: its tag. */
export function versionOf(image: string): string {
  const name = image.split('@')[0] ?? image;
  return /:([^/:]+)$/.exec(name)?.[1] ?? 'latest';
}

/** The end of an image's tag says how that version behaves; all others are good. */
export function behaviourOf(image: string): Behaviour {
  const end = /(?:^|-)(bad|slow|leak)$/.exec(versionOf(image))?.[1];
  return end === 'bad' || end === 'slow' || end === 'leak' ? end : 'good';
}

/**
 * Decides what a version makes of its requests. Of ten requests to a bad one exactly three fail,
 * spread evenly, so that a test can count on what a demo shows.
 */
export function createOutcomes(): (image: string) => Outcome {
  const counts = new Map<string, number>();
  return (image) => {
    const behaviour = behaviourOf(image);
    const count = counts.get(image) ?? 0;
    counts.set(image, count + 1);
    return {
      failed: behaviour === 'bad' && (count * 3) % 10 < 3,
      delayMs: behaviour === 'slow' ? slowMs : 0,
    };
  };
}
