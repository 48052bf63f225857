import { fileState } from './file-state.ts';
import type { Settings } from './schema.ts';
import { loadSettings, SettingsError, type LoadedSettings } from './settings.ts';

/** Hears in a sentence that the settings are others now, or cannot be used. */
export type TellSettings = (level: 'info' | 'warn', text: string) => void;

/** A worker's settings, which are read again when their file has changed. */
export class SettingsSource {
  private readonly tell: TellSettings;
  private loaded: LoadedSettings;
  private readAs: string;

  constructor(loaded: LoadedSettings, tell: TellSettings) {
    this.loaded = loaded;
    this.tell = tell;
    this.readAs = fileState(loaded.file);
  }

  /**
   * As they stand in the file; where that cannot be used, as they stood last. The same object as long
   * as nothing has changed.
   */
  current(): LoadedSettings {
    const state = fileState(this.loaded.file);
    if (state === this.readAs) return this.loaded;
    // What is replaced while it is read is read again the next time.
    this.readAs = state;
    try {
      const read = loadSettings(this.loaded.file);
      const atStart = startOnly(this.loaded.settings) !== startOnly(read.settings);
      this.loaded = read;
      this.tell(
        'info',
        `The settings have changed and count from now on${atStart ? ', those of worker and kubernetes.context once it is started again' : ''}.`,
      );
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      const [first = '', ...more] = error.message.split('\n');
      this.tell(
        'warn',
        `The settings have changed and cannot be used: ${first}${more.length > 0 ? ` and ${more.length} more mistakes` : ''}. Until they are mended those of before count, and nobody's authority can be told.`,
      );
    }
    return this.loaded;
  }
}

/** What a worker takes from them at its start only. */
function startOnly({ worker, kubernetes: { context }, regions }: Settings): string {
  const queue = regions[worker.region ?? '']?.taskQueue;
  return JSON.stringify([worker, context, queue]);
}
