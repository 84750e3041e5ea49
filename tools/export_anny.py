"""Write the compact Anny body file: python tools/export_anny.py [PATH] [--rank R]."""

from meshpose_plugins.cli.export_anny import main

if __name__ == "__main__":
    main()
