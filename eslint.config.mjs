import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

const outsideOfWorkflows = {
  // Workflow code replays: it may know the types of activities, never their code.
  patterns: [
    {
      regex: '/(activities|workers|client|config)/',
      allowTypeImports: true,
      message: 'Workflow code imports only types from here.',
    },
    { regex: '^node:', message: 'Workflow code has no Node.' },
  ],
};

export default tseslint.config(
  { ignores: ['build/', '.sandbox/', 'node_modules/', 'coverage/'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { varsIgnorePattern: '^_', argsIgnorePattern: '^_' },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
    },
  },
  {
    files: ['src/workflows/**/*.ts', 'src/contract/**/*.ts'],
    ignores: ['src/contract/digest.ts'],
    rules: { '@typescript-eslint/no-restricted-imports': ['error', outsideOfWorkflows] },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        setInterval: 'readonly',
        clearInterval: 'readonly',
      },
    },
  },
  {
    files: ['**/*.cjs'],
    languageOptions: {
      sourceType: 'commonjs',
      globals: { process: 'readonly', __dirname: 'readonly' },
    },
  },
);
